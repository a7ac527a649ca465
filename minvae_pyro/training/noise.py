"""Noise injection: the input of the audio encoder differs from the clean power that the likelihood scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Generator, Tensor

from minvae_pyro.corpora.corpus import Corpus, PreparedCorpus, Transform
from minvae_pyro.errors import about
from minvae_pyro.utterances import Utterances


class NoNoise(Transform):
    """Train on clean speech: the audio encoder gets the power that the likelihood scores."""

    def __call__(self, utterances: Utterances, generator: Generator, corpus: Corpus) -> Utterances:
        """Return the batch as it is."""
        return utterances


@dataclass(frozen=True)
class UniformNoise(Transform):
    """The published recipe: uniform power is added in half of the frames (arXiv 1912.10647, sec. VI).

    Attributes:
        highest: largest power added to a bin; the smallest is 0.
        share: of frames that get noise.
    """

    highest: float = 50.0
    share: float = 0.5

    def __call__(self, utterances: Utterances, generator: Generator, corpus: Corpus) -> Utterances:
        """Add noise to ``noisy_power`` in frames drawn at random."""
        power = utterances.noisy_power
        noise = self.highest * torch.rand(power.shape, generator=generator, dtype=power.dtype)
        chosen = (torch.rand(power.shape[:2], generator=generator) < self.share) & utterances.mask
        return utterances.replace(noisy_power=power + noise * chosen[..., None])


@dataclass(frozen=True)
class RealisticNoise(Transform):
    """Talkers of the corpus, stationary noise or modulated noise, at a random signal-to-noise ratio.

    Noise and speech are added as complex numbers with a random phase between them per bin, so that noise can cancel
    speech; only the power is kept.

    Attributes:
        share: of utterances that get noise.
        snr_db: lowest and highest signal-to-noise ratio over the piece, drawn uniformly, in decibels.
        talkers: share of noises that are one or two other talkers; of the rest, half are stationary and half modulated.
        voices: prepared folders of the other talkers; the training data when omitted.

    Raises:
        UserError: a folder of ``voices`` that is missing or not prepared.
    """

    share: float = 0.5
    snr_db: tuple[float, float] = (-10.0, 10.0)
    talkers: float = 0.4
    voices: Sequence[str] = ()

    def __post_init__(self) -> None:
        # now: before the first batch comes, hours may have been spent
        _ = self._voices_corpus

    @cached_property
    def _voices_corpus(self) -> PreparedCorpus | None:
        with about("data.noise.voices"):
            return PreparedCorpus(self.voices, mouth=False) if self.voices else None

    def __call__(self, utterances: Utterances, generator: Generator, corpus: Corpus) -> Utterances:
        """Add noise to ``noisy_power`` in utterances drawn at random."""
        chosen = (torch.rand(len(utterances), generator=generator) < self.share).nonzero().squeeze(1)
        if len(chosen) == 0:
            return utterances
        speech, mask = utterances.noisy_power[chosen], utterances.mask[chosen]
        kind = torch.rand(len(chosen), generator=generator)
        modulated = kind > (1 + self.talkers) / 2
        noise = coloured_noise(speech.shape, modulated, generator)
        for row in (kind < self.talkers).nonzero().squeeze(1).tolist():
            noise[row] = _other_talkers(self._voices_corpus or corpus, speech.shape[1], generator)
        low, high = self.snr_db
        ratio = low + (high - low) * torch.rand(len(chosen), generator=generator)
        noise = noise * mask[..., None]
        scale = (speech * mask[..., None]).sum((1, 2)) / noise.sum((1, 2)).clamp_min(1e-10)
        noise = noise * (scale * 10 ** (-ratio / 10))[:, None, None]
        cosine = (2 * torch.pi * torch.rand(speech.shape, generator=generator)).cos_()
        mixture = (speech + noise + 2 * cosine * (speech * noise).sqrt()).clamp_min(0)
        return utterances.replace(noisy_power=utterances.noisy_power.index_copy(0, chosen, mixture))


def coloured_noise(shape: torch.Size, modulated: Tensor, generator: Generator) -> Tensor:
    """Power of Gaussian noises, (B, N, F) > 0, each with a spectrum of its own, some of them swelling and fading.

    Args:
        shape: (B, N, F).
        modulated: (B,) bool: the loudness changes over time.
        generator: source of randomness.
    """
    size, frames, frequencies = shape
    # Natural logarithms of power: a slope from 0 to -46 dB over the band, and humps of some 9 dB.
    slope = -10.6 * torch.rand(size, 1, generator=generator) * torch.linspace(0, 1, frequencies).sqrt()
    colour = slope + _smooth(size, frequencies, 12, 2.0, generator)
    swell = _smooth(size, frames, max(2, frames // 6), 2.0, generator) * modulated[:, None]
    power = torch.empty(shape).exponential_(generator=generator)
    return power * (colour[:, None, :] + swell[..., None]).exp()


def _smooth(size: int, length: int, knots: int, scale: float, generator: Generator) -> Tensor:
    """Smooth random curves (size, length) through normal values at so many knots."""
    values = scale * torch.randn(size, 1, knots, generator=generator)
    return torch.nn.functional.interpolate(values, length, mode="linear", align_corners=True)[:, 0]


def _other_talkers(corpus: Corpus, frames: int, generator: Generator) -> Tensor:
    """Power (frames, F) of one or two clips of the corpus, repeated where too short."""
    count = int(torch.randint(1, 3, (), generator=generator))
    powers = []
    for row in torch.randint(len(corpus.lengths), (count,), generator=generator).tolist():
        length = corpus.lengths[row]
        start = int(torch.randint(max(1, length - frames + 1), (), generator=generator))
        power = corpus.load_power(row, start, min(length, start + frames))
        powers.append(power[torch.arange(frames) % len(power)])
    return torch.stack(powers).sum(0)
