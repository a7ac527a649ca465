"""A clip of one second, and a small model that is done with it at once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from minvae_pyro.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from minvae_pyro.web.examples import draw_example


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of a synthetic talker in noise, one second long."""
    return draw_example(tmp_path_factory.mktemp("clip") / "my talk.mp4", "hum", 5.0, seed=1, seconds=1.0)


@pytest.fixture(scope="session")
def quick(tmp_path_factory: pytest.TempPathFactory, handmade: Callable[..., Path]) -> Path:
    """A checkpoint of a MIN-VAE whose engine stops after three iterations."""
    folder = tmp_path_factory.mktemp("weights")
    made = load_checkpoint(handmade(folder / "handmade.safetensors", mixture=True))
    description = {key: made.metadata[key] for key in ("prior", "guide")}
    enhancement = {
        "engine": {"class_path": "FastVariational", "init_args": {"iterations": 3}},
        "noise": {"class_path": "NMFNoise", "init_args": {"rank": 1}},
    }
    path = folder / "quick.safetensors"
    return save_checkpoint(path, made.prior, made.guide, description, made.stft, enhancement=enhancement)
