"""A learnt gate: does the mouth agree with the sound?"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from minvae_pyro.nn.audio import FREQUENCIES, precise
from minvae_pyro.nn.base import Gate
from minvae_pyro.nn.visual import until_last
from minvae_pyro.probability.normals import Gaussian


class AgreementGate(Gate):
    """Log-odds that a frame is better left to the sound, from the agreement of mouth and sound.

    Spectra predicted from the mouth and noisy spectra are compressed to bands, centred and scaled over the recording;
    their product is a correlation for each frame and for the whole recording. Levels, talkers and microphones drop out,
    so that the gate learns synchrony and not one voice.

    Args:
        bands: logarithmically spaced bands of frequency.
        features: channels inside.
        frequencies: F.
        dropout: rate in training.
    """

    pooling: Tensor

    def __init__(
        self, bands: int = 32, features: int = 48, frequencies: int = FREQUENCIES, dropout: float = 0.2
    ) -> None:
        super().__init__()
        self.register_buffer("pooling", _band_pooling(bands, frequencies), persistent=False)
        bands = self.pooling.shape[1]
        self.dropout = nn.Dropout(dropout)
        self.enter = nn.Conv1d(4 * bands + 3, features, 1)
        self.near = nn.Conv1d(features, features, 7, padding=3)
        self.far = nn.Conv1d(features, features, 7, padding=9, dilation=3)
        self.decide = nn.Sequential(
            nn.Linear(2 * features + bands, features), nn.ReLU(), nn.Dropout(dropout), nn.Linear(features, 1)
        )

    def forward(self, noisy_power: Tensor, predicted: Tensor, visual: Gaussian, mask: Tensor) -> Tensor:
        """Log-odds of alpha = 1, (B, N); arguments as of :meth:`minvae_pyro.nn.base.Gate.forward`."""
        weight = mask[..., None].to(noisy_power.dtype)
        count = weight.sum(1, keepdim=True).clamp_min(1.0)
        noisy, noisy_spread = self._standardise(noisy_power, weight, count)
        predicted, predicted_spread = self._standardise(predicted, weight, count)
        product = noisy * predicted
        correlation = product.sum(1, keepdim=True) / count
        mean, scale = visual
        # what the mouth claims to know of z, in nats; 30 brings it to the size of the others
        claim = (0.5 * (scale.square() + mean.square() - 1) - scale.log()).sum(-1, keepdim=True) / 30
        spreads = torch.cat([noisy_spread, predicted_spread], -1).expand(-1, noisy.shape[1], -1)
        features = torch.cat([noisy, predicted, product, (noisy - predicted).abs(), claim, spreads], -1)
        # the recording ends with the last frame that counts, whatever padding makes of what is behind it
        within = until_last(mask)[:, None]
        hidden = self.enter(self.dropout(features).transpose(1, 2)).relu() * within
        hidden = (hidden + self.near(hidden).relu()) * within
        hidden = (hidden + self.far(hidden).relu()).transpose(1, 2)
        pooled = (hidden * weight).sum(1, keepdim=True) / count
        whole = torch.cat([pooled, correlation], -1).expand(-1, hidden.shape[1], -1)
        return precise(self.decide(torch.cat([hidden, whole], -1))).squeeze(-1)

    def _standardise(self, power: Tensor, weight: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        """Log power in bands, centred and scaled over the recording, and its mean spread (B, 1, 1)."""
        bands = (power @ self.pooling + 1e-8).log()
        bands = (bands - (bands * weight).sum(1, keepdim=True) / count) * weight
        spread = (bands.square().sum(1, keepdim=True) / count).sqrt()
        return bands / (spread + 0.1), spread.mean(-1, keepdim=True)


def _band_pooling(bands: int, frequencies: int) -> Tensor:
    """Matrix (F, bands) that averages bins into logarithmically spaced bands, the lowest two bins left out."""
    edges = torch.logspace(torch.tensor(2.0).log10().item(), torch.tensor(float(frequencies)).log10().item(), bands + 1)
    edges = edges.round().long().unique()
    bins = torch.arange(frequencies)[:, None]
    inside = (bins >= edges[:-1]) & (bins < edges[1:])
    return inside.to(torch.get_default_dtype()) / inside.sum(0)
