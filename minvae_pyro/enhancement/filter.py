"""The filter under every way to enhance: unit level, STFT, inference, Wiener gain, inverse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.nn.functional import pad

from minvae_pyro.audio.stft import STFT
from minvae_pyro.checkpoints.checkpoint import Checkpoint
from minvae_pyro.inference import Inference, infer
from minvae_pyro.utterances import Utterances, concatenate
from minvae_pyro.video.track import MouthTrack

SILENCE = 1e-8
"""Root mean square up to which there is nothing to hear: -160 dB."""


def level(waveform: Tensor) -> Tensor:
    """Root mean square over everything, float64."""
    return waveform.double().square().mean().sqrt()


def infer_waveforms(
    checkpoint: Checkpoint, waveforms: Sequence[Tensor], mouths: Sequence[MouthTrack | None], **inference: Any
) -> Inference:
    """Infer the gains of several sounds together, each scaled to unit level; arguments as of :func:`infer_spectra`.

    The waveforms, (samples,) each, of any lengths, are at the rate of ``checkpoint.stft``; none is silent.
    """
    stft = checkpoint.stft
    padded = [_whole_hops(stft, waveform) for waveform in waveforms]
    spectra = [stft((waveform / level(waveform).float()).to(stft.window.device)) for waveform in padded]
    return infer_spectra(checkpoint, spectra, mouths, **inference)


def infer_spectra(
    checkpoint: Checkpoint, spectra: Sequence[Tensor], mouths: Sequence[MouthTrack | None], **inference: Any
) -> Inference:
    """Infer the gains of several spectra together, padded to the longest: one of N frames has the first N of its row.

    Args:
        checkpoint: the model, on the device to compute on.
        spectra: (N, F) complex each, of any N, of sounds at unit level.
        mouths: one picture for each of the N frames; None without video.
        **inference: see :func:`minvae_pyro.inference.infer`.
    """
    device = checkpoint.stft.window.device
    alone = []
    for spectrum, mouth in zip(spectra, mouths, strict=True):
        pictures = (None, None) if mouth is None else (mouth.crops.to(device), mouth.found.to(device))
        alone.append(Utterances.from_spectrum(spectrum.to(device), *pictures))
    together = concatenate(alone)
    return infer(checkpoint, together if together.mouth_seen.any() else together.without_mouth(), **inference)


def apply_gain(stft: STFT, gain: Tensor, waveform: Tensor) -> Tensor:
    """Filter a waveform (..., samples), at any level, by the gain (N, F) of its frames; the result is on the CPU."""
    spectrum = stft(_whole_hops(stft, waveform).to(stft.window.device))
    return stft.inverse(gain * spectrum, waveform.shape[-1]).cpu()


def _whole_hops(stft: STFT, waveform: Tensor) -> Tensor:
    """The waveform up to the centre of its last frame, as the model gets it."""
    return pad(waveform, (0, -waveform.shape[-1] % stft.hop))
