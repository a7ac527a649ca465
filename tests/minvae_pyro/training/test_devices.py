"""A GPU trains as the CPU does."""

import pytest
import torch

from minvae_pyro.checkpoints.checkpoint import load_checkpoint
from minvae_pyro.training.plan import TrainingPlan
from minvae_pyro.utterances import Utterances


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device to compare with")
@pytest.mark.parametrize("name", ["a-vae", "min-vae", "sw-vae", "av-dkf", "vae-mm"])
def test_a_gpu_has_the_loss_and_the_gradient_of_the_cpu(name: str) -> None:
    power = torch.rand(2, 9, 513, dtype=torch.float64) + 0.1
    utterances = Utterances.from_spectrum(power, torch.rand(2, 9, 67, 67, dtype=torch.float64))
    found = []
    for device in ("cpu", "cuda"):
        checkpoint = load_checkpoint(name)
        plan = TrainingPlan(checkpoint.prior, checkpoint.guide).double().to(device)
        # no dropout, and draws at the mean: the devices draw different numbers
        for module in plan.modules():
            module.train(isinstance(module, torch.nn.RNNBase))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch, "normal", lambda mean, *rest, **more: mean)
            patch.setattr(
                "torch.distributions.normal._standard_normal",
                lambda shape, dtype, device: torch.zeros(shape, dtype=dtype, device=device),
            )
            loss = plan(utterances.to(device))
        loss.backward()
        gradients = {key: p.grad.cpu() for key, p in plan.named_parameters() if p.grad is not None}
        found.append((loss.detach().cpu(), gradients))
    (cpu, expected), (gpu, gradients) = found
    torch.testing.assert_close(gpu, cpu, rtol=1e-9, atol=0)
    assert gradients.keys() == expected.keys()
    for key, value in expected.items():
        atol = 1e-9 * float(value.abs().max()) + 1e-12
        torch.testing.assert_close(gradients[key], value, rtol=1e-6, atol=atol, msg=key)
