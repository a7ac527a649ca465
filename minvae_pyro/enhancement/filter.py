"""The filter under every way to enhance: unit level, STFT, inference, Wiener gain, inverse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.nn.functional import pad

from minvae_pyro.audio.level import SILENCE, sounding_level
from minvae_pyro.audio.observed import observed_cells
from minvae_pyro.audio.stft import STFT
from minvae_pyro.checkpoints.checkpoint import Checkpoint
from minvae_pyro.inference import Inference, infer
from minvae_pyro.utterances import Utterances, concatenate
from minvae_pyro.video.track import MouthTrack


def infer_waveforms(
    checkpoint: Checkpoint, waveforms: Sequence[Tensor], mouths: Sequence[MouthTrack | None], **inference: Any
) -> Inference:
    """Infer the gains of several sounds together, at unit level where they sound, as :func:`infer_spectra` does.

    The waveforms, (samples,) each, of any lengths, are at the rate of ``checkpoint.stft``; none is silent.
    """
    stft = checkpoint.stft
    levelled = [whole_hops(stft, waveform / sounding_level(waveform)) for waveform in waveforms]
    spectra = [stft(waveform.to(stft.window.device)) for waveform in levelled]
    return infer_spectra(checkpoint, spectra, mouths, **inference)


def infer_spectra(
    checkpoint: Checkpoint, spectra: Sequence[Tensor], mouths: Sequence[MouthTrack | None], **inference: Any
) -> Inference:
    """Infer the gains of several spectra together, padded to the longest: one of N frames has the first N of its row.

    Cells that say nothing of the sound are no evidence (:func:`minvae_pyro.audio.observed.observed_cells`).

    Args:
        checkpoint: the model, on the device to compute on.
        spectra: (N, F) complex each, of any N, of sounds at unit level.
        mouths: one picture for each of the N frames; None without video.
        **inference: see :func:`minvae_pyro.inference.infer`.
    """
    # each alone is not kept: the pictures of a batch take a hundred megabytes
    together = concatenate([as_utterances(checkpoint.stft, *one) for one in zip(spectra, mouths, strict=True)])
    return infer(checkpoint, together if together.mouth_seen.any() else together.without_mouth(), **inference)


def as_utterances(stft: STFT, spectrum: Tensor, mouth: MouthTrack | None) -> Utterances:
    """A spectrum (N, F) at unit level, with a picture for each frame, as a batch of one on the STFT's device."""
    device = stft.window.device
    shown, seen = (None, None) if mouth is None else (mouth.crops.to(device), mouth.found.to(device))
    observed = observed_cells(spectrum.abs().square(), stft.cell_power)
    on_device = None if observed is None else observed.to(device)
    return Utterances.from_spectrum(spectrum.to(device), shown, seen, on_device)


def apply_gain(stft: STFT, gain: Tensor, waveform: Tensor) -> Tensor:
    """Filter a waveform (..., samples), at any level, by the gain (N, F) of its frames; the result is on the CPU."""
    spectrum = stft(whole_hops(stft, waveform).to(stft.window.device))
    return stft.inverse(gain * spectrum, waveform.shape[-1]).cpu()


def apply_draw(stft: STFT, drawn: tuple[Tensor, Tensor], waveform: Tensor, level: float) -> Tensor:
    """A draw of the speech in a waveform (channels, samples), on the CPU.

    What the draw deviates by is added to every channel in proportion to its level.

    Args:
        stft: the transform.
        drawn: gain and deviation, each (N, F), see :func:`minvae_pyro.inference.draw_speech`.
        waveform: at any level.
        level: of the sound that was inferred from, which the deviation was drawn for at level one.
    """
    gain, deviation = drawn
    power = waveform.square().mean(-1, keepdim=True)
    share = (power / power.mean().clamp_min(SILENCE**2)).sqrt()
    added = stft.inverse(level * deviation, waveform.shape[-1]).cpu()
    return apply_gain(stft, gain, waveform) + share * added


def whole_hops(stft: STFT, waveform: Tensor) -> Tensor:
    """The waveform up to the centre of its last frame, as the model gets it."""
    return pad(waveform, (0, -waveform.shape[-1] % stft.hop))
