import pytest
import torch

from minvae_pyro.inference.adam import Adam


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_is_the_adam_of_torch_to_the_last_bit(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(size, generator=generator, dtype=dtype) for size in ((3, 4), (5,))]
    ours = [value.clone().requires_grad_() for value in start]
    theirs = [value.clone().requires_grad_() for value in start]
    adam = Adam(ours, betas=(0.9, 0.95))
    reference = torch.optim.Adam(theirs, 0.1, betas=(0.9, 0.95), maximize=True, fused=True)
    for step in range(20):
        rate = 0.1 / (1 + step)
        gradients = [torch.randn(value.shape, generator=generator, dtype=dtype) for value in start]
        adam.climb(gradients, rate)
        reference.param_groups[0]["lr"] = rate
        for value, gradient in zip(theirs, gradients, strict=True):
            value.grad = gradient.clone()
        reference.step()
        assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
    assert not torch.equal(ours[0], start[0])
