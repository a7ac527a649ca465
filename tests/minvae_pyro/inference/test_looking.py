"""Each network on the mouth runs once in an inference, whatever asks for what it sees."""

from typing import Any

import pytest
import torch

from minvae_pyro.checkpoints.checkpoint import load_checkpoint
from minvae_pyro.inference import infer
from minvae_pyro.nn.visual import MouthConvolution, MouthPerceptron
from minvae_pyro.utterances import Utterances


@pytest.mark.parametrize("guide", ["MeanFieldGuide", "MixtureUtteranceGuide", "AmortisedGuide"])
@pytest.mark.parametrize("start", ["visual", "both"])
@pytest.mark.parametrize("name", ["min-vae", "min-vae-v2", "vae-mm", "av-cvae", "av-dkf"])
def test_networks_on_the_mouth_run_once(name: str, start: str, guide: str) -> None:
    checkpoint = load_checkpoint(name)
    spectrum = torch.randn(2, 6, checkpoint.stft.frequencies, dtype=torch.complex64)
    batch = Utterances.from_spectrum(spectrum, torch.rand(2, 6, 67, 67))
    looks: dict[torch.nn.Module, int] = {}

    def looked(network: torch.nn.Module, _given: Any, _found: Any) -> None:
        looks[network] = looks.get(network, 0) + 1

    whole: list[Any] = [checkpoint.prior, checkpoint.guide]
    for part in {module for one in whole for module in one.modules()}:
        if isinstance(part, MouthConvolution | MouthPerceptron):
            part.register_forward_hook(looked)
    engine = {"class_path": "fast", "init_args": {"iterations": 2}}
    infer(checkpoint, batch, engine=engine, start=start, guide=guide)
    assert looks
    assert set(looks.values()) == {1}
