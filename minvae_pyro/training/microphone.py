"""Other microphones in training: a prior is to learn voices, and not what a studio did to them."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from minvae_pyro.audio.libraries import load_torchaudio
from minvae_pyro.corpora.corpus import Corpus, Transform
from minvae_pyro.errors import UserError
from minvae_pyro.utterances import Utterances

_BASS, _TREBLE = 120.0, 3000.0  # Hz, middle of the shelves
_PEAK = (400.0, 2500.0)  # Hz, between which a peak or dip lies
_QUIET = 1e-3  # of the impulse: filters of torchaudio clip at 1


@dataclass(frozen=True)
class MicrophoneColour(Transform):
    """Records utterances with other microphones: bass, treble and a peak or dip between, by torchaudio's filters.

    Speech that is scored and what the audio encoder hears change alike, and keep the power that the speech had. For
    priors of the sound; the noise is coloured with the speech where noise is injected before.

    Attributes:
        share: of utterances that get another microphone.
        largest_db: of what each of the three filters adds or takes, in decibels.
        microphones: how many there are; the same in every run.

    Raises:
        UserError: torchaudio cannot be loaded, or a number is out of its range.
    """

    share: float = 0.8
    largest_db: float = 6.0
    microphones: int = 64

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1 or not 0 <= self.largest_db <= 30 or not 1 <= self.microphones <= 4096:
            raise UserError(
                "of a MicrophoneColour, share lies in 0 .. 1, largest_db in 0 .. 30, microphones in 1 .. 4096."
            )
        load_torchaudio("MicrophoneColour")

    def __call__(self, utterances: Utterances, generator: Generator, corpus: Corpus) -> Utterances:
        """Colour ``spectrum`` and ``noisy_power`` alike."""
        size = len(utterances)
        chosen = torch.rand(size, generator=generator) < self.share
        number = torch.randint(self.microphones, (size,), generator=generator)
        stft = corpus.stft
        colours = microphones(self.microphones, self.largest_db, stft.n_fft, stft.sample_rate)
        power = utterances.spectrum.abs().square() if utterances.spectrum.is_complex() else utterances.spectrum
        gain = torch.where(chosen[:, None], colours[number].to(power.dtype), 1.0)[:, None]
        before = (power * utterances.mask[..., None]).sum((1, 2), keepdim=True)
        after = (power * gain * utterances.mask[..., None]).sum((1, 2), keepdim=True)
        gain = torch.where(chosen[:, None, None] & (after > 0), gain * (before / after), 1.0)
        spectrum = utterances.spectrum * (gain.sqrt() if utterances.spectrum.is_complex() else gain)
        return utterances.replace(spectrum=spectrum, noisy_power=utterances.noisy_power * gain)


@functools.lru_cache(maxsize=4)
def microphones(count: int, largest_db: float, n_fft: int, sample_rate: int) -> Tensor:
    """What microphones pass of the power at each frequency, (count, n_fft // 2 + 1) float64.

    Each is a shelf below 120 Hz, one above 3 kHz and a peak or dip in the middle, of gains drawn up to ``largest_db``.

    Raises:
        UserError: torchaudio cannot be loaded.
    """
    filters = load_torchaudio("MicrophoneColour").functional
    generator = torch.Generator().manual_seed(0)
    gains = largest_db * (2 * torch.rand(count, 3, generator=generator, dtype=torch.float64) - 1)
    low, high = _PEAK
    middles = low * (high / low) ** torch.rand(count, generator=generator, dtype=torch.float64)
    treble = min(_TREBLE, sample_rate / 4)
    # longer than any of the filters rings
    impulse = torch.zeros(4 * max(n_fft, sample_rate // 4), dtype=torch.float64)
    impulse[0] = _QUIET
    answers = []
    for (bass, middle, top), centre in zip(gains.tolist(), middles.tolist(), strict=True):
        answer = filters.bass_biquad(impulse, sample_rate, bass, _BASS)
        answer = filters.equalizer_biquad(answer, sample_rate, min(centre, sample_rate / 4), middle)
        answers.append(filters.treble_biquad(answer, sample_rate, top, treble))
    # at the frequencies of the transform exactly: the sum of all its windows has the same spectrum there
    folded = torch.nn.functional.pad(torch.stack(answers), (0, -len(impulse) % n_fft)).unflatten(1, (-1, n_fft)).sum(1)
    return (torch.fft.rfft(folded) / _QUIET).abs().square()
