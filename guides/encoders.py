"""Amortised posteriors of z: which tensor an encoder reads, nothing more."""

from __future__ import annotations

from abc import abstractmethod

from minvae_pyro.nn.audio import SpectrumEncoder
from minvae_pyro.nn.base import AudioEncoder, VisualEncoder
from minvae_pyro.nn.visual import MouthConvolution
from minvae_pyro.probability.normals import Gaussian
from minvae_pyro.probability.parameters import AbstractModule
from minvae_pyro.utterances import Utterances


class ZPosterior(AbstractModule):
    """q(z | alpha) under one value of alpha: an encoder, and which part of a batch it reads."""

    @abstractmethod
    def forward(self, utterances: Utterances) -> Gaussian:
        """Mean and scale, each (B, N, L)."""


class NoisyAudioEncoder(ZPosterior):
    """q(z | alpha = 1): the audio encoder on the noisy power (in training, noise may be injected).

    Args:
        encoder: maps power (B, N, F) to mean and scale, each (B, N, L).
    """

    def __init__(self, encoder: AudioEncoder | None = None) -> None:
        super().__init__()
        self.encoder = SpectrumEncoder() if encoder is None else encoder

    def forward(self, utterances: Utterances) -> Gaussian:
        """Mean and scale, each (B, N, L)."""
        return self.encoder(utterances.noisy_power)


class CleanAudioEncoder(NoisyAudioEncoder):
    """The audio encoder on the clean power that the likelihood scores.

    In training a component conditioned on the mouth is fitted to this posterior: AV-CVAE (arXiv 1908.02590) minimises
    ``KL(q(z | s) || p(z | alpha = 0, mouth))``.

    Args:
        encoder: maps power (B, N, F) to mean and scale, each (B, N, L).
    """

    def forward(self, utterances: Utterances) -> Gaussian:
        """Mean and scale, each (B, N, L)."""
        return self.encoder(utterances.power)


class MouthEncoder(ZPosterior):
    """q(z | alpha = 0): the visual encoder on the mouth.

    Args:
        network: maps crops (B, N, 67, 67) and ``mouth_seen`` (B, N) to mean and scale, each (B, N, L).
    """

    def __init__(self, network: VisualEncoder | None = None) -> None:
        super().__init__()
        self.network = MouthConvolution() if network is None else network

    def forward(self, utterances: Utterances) -> Gaussian:
        """Mean and scale, each (B, N, L)."""
        return utterances.encode_mouth(self.network)
