"""A small model that is trained once for all tests, and an inference whose outcome is known."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import minvae_pyro.enhancement.filter
from minvae_pyro.synthetic.talker import SyntheticUtterance, synthesise
from minvae_pyro.training.run import train
from minvae_pyro.utterances import Utterances


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint of a MIN-VAE that was trained for some seconds."""
    options = {
        "config": "demo",
        "epochs": "5",
        "data.batch_size": "2",
        "data.train.init_args.utterances": "8",
        "data.train.init_args.seconds": "1",
        "data.validation.init_args.utterances": "2",
        "output": str(tmp_path_factory.mktemp("tiny") / "run"),
    }
    return train([part for name, value in options.items() for part in (f"--{name}", value)])


@pytest.fixture(scope="session")
def utterance() -> SyntheticUtterance:
    """One second of the synthetic talker."""
    return synthesise(1.0, 77)


class KnownInference:
    """Stands in for `infer`: every window of the n-th call gets the gain ``gains[n]``, the last one from then on.

    Attributes:
        gains: at all times and frequencies.
        batches: what it was asked to infer.
    """

    def __init__(self) -> None:
        self.gains = [1.0]
        self.batches: list[Utterances] = []

    def __call__(
        self, checkpoint: Any, utterances: Utterances, *, callback: Callable[..., None], **options: Any
    ) -> SimpleNamespace:
        gain = self.gains[min(len(self.batches), len(self.gains) - 1)]
        self.batches.append(utterances)
        for iteration in (1, 2):
            callback(iteration, 2, -1.0 / iteration)
        return SimpleNamespace(
            gain=torch.full(utterances.spectrum.shape, gain),
            audio_responsibility=torch.full(utterances.mask.shape, 1 - gain),
            objective=[-1.0, -0.5],
        )


@pytest.fixture
def known_inference(monkeypatch: pytest.MonkeyPatch) -> KnownInference:
    """Put `KnownInference` in the place of `infer`."""
    known = KnownInference()
    monkeypatch.setattr(minvae_pyro.enhancement.filter, "infer", known)
    return known
