"""Training guides of a prior with dynamics: posteriors that read the whole utterance."""

from __future__ import annotations

from typing import Any

import pyro
from torch import Tensor

from minvae_pyro.guides.base import TrainingGuide
from minvae_pyro.models.deep_kalman_filter import DeepKalmanFilter
from minvae_pyro.nn.base import SequenceEncoder
from minvae_pyro.nn.recurrent import RecurrentEncoder, StructuredEncoder
from minvae_pyro.probability.gauss_markov import MarkovNormal
from minvae_pyro.probability.normals import Gaussian
from minvae_pyro.utterances import Utterances


class RecurrentGuide(TrainingGuide):
    """Frames are independent given the sound, but each depends on all of it (arXiv 1609.09869, MF-LR).

    ::

        for n in frames:
            z[n] ~ N(encoder(power)[n])

    Args:
        prior: the prior that is trained; with visual features, its dynamics give the start from the mouth.
        encoder: maps power (B, N, F), mask (B, N) and any features (B, N, V) to mean and scale, each (B, N, L).
    """

    def __init__(self, prior: DeepKalmanFilter, encoder: SequenceEncoder | None = None) -> None:
        super().__init__()
        self._prior = [prior]
        self.encoder = RecurrentEncoder(latent_dim=prior.latent_dim) if encoder is None else encoder

    def encode_audio(self, utterances: Utterances) -> Gaussian:
        """Mean and scale of q(z), each (B, N, L)."""
        return self.encoded(utterances)

    def encoded(self, utterances: Utterances) -> Any:
        """Output of the encoder for these recordings."""
        network = self._prior[0].visual_features
        features = () if network is None else (network(utterances),)
        return self.encoder(utterances.noisy_power, utterances.mask, *features)

    def encode_visual(self, utterances: Utterances) -> Gaussian:
        """Where z may start at test time: along the mean of a prior with visual features; else from the sound."""
        prior = self._prior[0]
        if prior.visual_features is None:
            return self.encode_audio(utterances)
        return prior.condition_on(utterances).z_prior(utterances).mean_path()


class StructuredGuide(RecurrentGuide):
    """Each frame depends on the one before and on the sound from here on (arXiv 1609.09869, DKS).

    The posterior of the published A-DKF (arXiv 2211.00988); its divergence from the prior is :eq:`kalman-divergence`::

        z[0] = 0
        for n in frames:
            z[n] ~ N(encoder.step(z[n-1], encoder(power)[n]))

    Args:
        prior: as of :class:`RecurrentGuide`.
        encoder: maps power (B, N, F), mask (B, N) and, with visual features, features (B, N, V) to what lies ahead of
            each frame, (B, N, H); its method ``step`` makes mean and scale of that and of z of the frame before.
    """

    def __init__(self, prior: DeepKalmanFilter, encoder: StructuredEncoder | None = None) -> None:
        chosen: Any = StructuredEncoder(latent_dim=prior.latent_dim) if encoder is None else encoder
        super().__init__(prior, chosen)

    def z_posterior(self, utterances: Utterances) -> MarkovNormal:
        """q(z), batch shape (B, N), event shape (L,)."""
        encoder: Any = self.encoder
        ahead = self.encoded(utterances)

        def transition(previous: Tensor, frames: slice) -> Gaussian:
            return encoder.step(previous, ahead[..., frames, :])

        rest = utterances.noisy_power.new_zeros(len(utterances), 1, self._prior[0].latent_dim)
        mean, scale = transition(rest, slice(0, 1))
        return MarkovNormal((mean[..., 0, :], scale[..., 0, :]), transition, utterances.frames)

    def encode_audio(self, utterances: Utterances) -> Gaussian:
        """Where z may start at test time, from the sound: along the mean of the posterior, each (B, N, L)."""
        return self.z_posterior(utterances).mean_path()

    def forward(self, utterances: Utterances) -> None:
        """Sample ``z``."""
        with utterances.plates().every_frame():
            pyro.sample("z", self.z_posterior(utterances))
