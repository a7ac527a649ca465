"""A checkpoint that needs no training, and a table of two short mixtures."""

from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest
import torch
import yaml

from minvae_pyro.audio.files import Sound, write_sound
from minvae_pyro.audio.stft import STFT
from minvae_pyro.building import build
from minvae_pyro.checkpoints import save_checkpoint
from minvae_pyro.corpora.synthetic import speak

_COMPONENTS = 8


@pytest.fixture(scope="session")
def handmade() -> Callable[..., Path]:
    """Writes the checkpoint of a small MIN-VAE or A-VAE to a path."""

    def write(path: Path, *, mixture: bool = False, seed: int = 0) -> Path:
        description = {"prior": {"class_path": "AudioVAE"}, "guide": {"class_path": "AudioGuide"}}
        if mixture:
            config = resources.files("minvae_pyro") / "configs" / "demo.yaml"
            description = yaml.safe_load(config.read_text())
        torch.manual_seed(seed)
        model, guide = build(description)
        # its decoder has learnt the principal components of the log-spectrum of speech
        speech = speak(4.0, 9 + seed)
        power = STFT()(speech / speech.square().mean().sqrt()).abs().square()
        level = power.clamp_min(1e-3 * power.mean()).log()
        _, deviation, directions = torch.pca_lowrank(level, q=_COMPONENTS)
        hidden, out = model.decoder.hidden, model.decoder.log_variance
        with torch.no_grad():
            for parameter in (hidden.weight, hidden.bias, out.weight):
                parameter.zero_()
            out.bias.copy_(level.mean(0))
            hidden.weight.fill_diagonal_(0.5)
            out.weight[:, :_COMPONENTS] = 2 * directions * deviation / len(level) ** 0.5
            for parameter in guide.parameters():
                parameter.mul_(0.1)  # or its encoder would drive the decoder where it no longer answers
        path.parent.mkdir(parents=True, exist_ok=True)
        return save_checkpoint(
            path,
            model,
            guide,
            description,
            STFT(),
            enhancement={"noise": {"class_path": "NMFNoise", "init_args": {"rank": 1}}},
            overwrite=True,
        )

    return write


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of two mixtures of one second each, with so little noise that the handmade model hears the speech."""
    generator = torch.Generator().manual_seed(0)
    lines = ["id,clip,noise,noise_offset_samples,snr_db"]
    for number, snr in enumerate((30, 35)):
        clip, noise = tmp_path / "talker" / f"{number}.wav", tmp_path / f"noise{number}.wav"
        clip.parent.mkdir(exist_ok=True)
        write_sound(clip, Sound(speak(1.0, number)[None], 16000))
        write_sound(noise, Sound(0.1 * torch.randn(1, 16000, generator=generator), 16000))
        lines.append(f"{number},talker/{clip.name},{noise.name},0,{snr}")
    path = tmp_path / "mixtures.csv"
    path.write_text("\n".join(lines) + "\n")
    return path
