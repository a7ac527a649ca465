"""Adam against torch's own optimiser."""

import torch

from minvae_pyro.inference.adam import Adam


def test_it_is_the_adam_of_torch() -> None:
    torch.manual_seed(0)
    ours = [torch.randn(3, 2, dtype=torch.float64, requires_grad=True), torch.randn(4, dtype=torch.float64)]
    theirs = [part.detach().clone().requires_grad_() for part in ours]
    ours = [part.detach().clone() for part in ours]
    mine, reference = Adam(ours, betas=(0.9, 0.95)), torch.optim.Adam(theirs, betas=(0.9, 0.95), maximize=True)
    for step in range(1, 8):
        gradients = [torch.randn_like(part) for part in ours]
        for part, gradient in zip(theirs, gradients, strict=True):
            part.grad = gradient
        reference.param_groups[0]["lr"] = 1 / step
        reference.step()
        mine.step(gradients, 1 / step)
    for part, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(part, expected.detach(), rtol=1e-12, atol=1e-12)
