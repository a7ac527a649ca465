"""A GPU infers what the CPU infers: random numbers are drawn on the CPU for both."""

from typing import Any

import pytest
import torch

from minvae_pyro.checkpoints.checkpoint import load_checkpoint
from minvae_pyro.inference import infer
from minvae_pyro.inference.settings import ENGINES
from minvae_pyro.utterances import Utterances


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device to compare with")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", ["min-vae", "a-vae", "sw-vae", "a-dkf"])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_gpu_infers_what_the_cpu_infers(name: str, engine: str, dtype: torch.dtype) -> None:
    spectrum = torch.randn(2, 12, 513, dtype=torch.complex128) / torch.arange(1, 514) ** 0.5
    utterances = Utterances.from_spectrum(spectrum, torch.rand(2, 12, 67, 67, dtype=torch.float64)).to(dtype)
    described = {"class_path": engine, "init_args": {"iterations": 4}}
    found = []
    for device in ("cpu", "cuda"):
        checkpoint = load_checkpoint(name)
        parts: list[Any] = [checkpoint.prior, checkpoint.guide]
        for part in parts:
            part.to(device, dtype)
        inferred = infer(checkpoint, utterances.to(device), engine=described, seed=3)
        assert inferred.gain.device.type == device
        found.append(inferred)
    cpu, gpu = found
    tolerance = 1e-8 if dtype == torch.float64 else 1e-2
    torch.testing.assert_close(gpu.gain.cpu(), cpu.gain, rtol=0, atol=tolerance)
    if cpu.audio_responsibility is not None:
        torch.testing.assert_close(
            gpu.audio_responsibility.cpu(), cpu.audio_responsibility, rtol=0, atol=10 * tolerance
        )
