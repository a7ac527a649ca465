"""What tests share: a clean Pyro, a fixed seed, the way to the real data, a checkpoint and mixtures made by hand."""

import os
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path

import hypothesis
import pyro
import pytest
import torch
import yaml

from minvae_pyro.audio.files import Sound, write_sound
from minvae_pyro.audio.stft import STFT
from minvae_pyro.checkpoints.checkpoint import save_checkpoint
from minvae_pyro.registry.build import build
from minvae_pyro.synthetic.talker import speak

REPOSITORY = Path(__file__).resolve().parent.parent
_COMPONENTS = 8


class _TorchRandom:
    """Torch's global generator in the shape that Hypothesis seeds before each example it tries."""

    seed = staticmethod(torch.manual_seed)
    getstate = staticmethod(torch.get_rng_state)
    setstate = staticmethod(torch.set_rng_state)


# Hypothesis keeps a weak reference only, so the adapter needs a name of its own.
_TORCH_RANDOM = _TorchRandom()
hypothesis.register_random(_TORCH_RANDOM)

# The first call of a torch operator is far slower than the next ones: a deadline would fail at random.
hypothesis.settings.register_profile("minvae", deadline=None)
hypothesis.settings.load_profile("minvae")

# Several test processes share the cores; small tensors gain nothing from more threads.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def clean_pyro() -> Iterator[None]:
    """Start each test with an empty parameter store, validation on and a fixed seed; restore the dtype."""
    pyro.clear_param_store()
    pyro.set_rng_seed(0)
    dtype = torch.get_default_dtype()
    with pyro.validation_enabled(True):
        yield
    torch.set_default_dtype(dtype)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real recordings: MINVAE_DATA, else `shared/data` beside the checkout.

    Tests that need it are skipped on a machine without it, and fail in CI, where it must be there.
    """
    folder = Path(os.environ.get("MINVAE_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        reason = f"no real data in {folder}; set MINVAE_DATA to their folder"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def handmade() -> Callable[..., Path]:
    """Writes the checkpoint of a small MIN-VAE or A-VAE to a path."""

    def write(path: Path, *, mixture: bool = False, seed: int = 0) -> Path:
        description = {"prior": {"class_path": "AudioVAE"}, "guide": {"class_path": "AudioGuide"}}
        if mixture:
            config = resources.files("minvae_pyro.training") / "configs" / "demo.yaml"
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
