"""Speech with latent dynamics: the deep Kalman filter (arXiv 1609.09869), also with the mouth (arXiv 2211.00988)."""

from __future__ import annotations

import pyro
from torch import Tensor

from minvae_pyro.models.speech_prior import Latent, SpeechPrior
from minvae_pyro.nn.base import AudioVisualDecoder, Decoder, LatentTransition, VisualFeatures
from minvae_pyro.nn.recurrent import DeepDecoder, GatedTransition
from minvae_pyro.probability.gauss_markov import MarkovNormal
from minvae_pyro.probability.normals import Gaussian
from minvae_pyro.utterances import Plates, Utterances


class DeepKalmanFilter(SpeechPrior):
    """A-DKF, and AV-DKF when it is given visual features (arXiv 2211.00988).

    Equation :eq:`kalman-prior`::

        z[0] = 0
        for n in frames:
            # v: features of the mouth, if it has them
            z[n] ~ N(transition(z[n-1], v[n]))               # z_prior
            s[n] ~ N_c(0, diag variance(z[n], v[n]))         # speech_variance

    Args:
        latent_dim: L.
        transition: maps z (..., L) and any features to mean and scale of the next z; a
            :class:`minvae_pyro.nn.recurrent.GatedTransition` when omitted.
        decoder: maps z (..., L) and any features to variance (..., F); one layer of 128 tanh units when omitted.
        visual_features: maps utterances to features (B, N, V), zero in frames without a mouth; None is the sound alone.
    """

    def __init__(
        self,
        latent_dim: int = 32,
        transition: LatentTransition | None = None,
        decoder: Decoder | AudioVisualDecoder | None = None,
        visual_features: VisualFeatures | None = None,
    ) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.transition = GatedTransition(latent_dim) if transition is None else transition
        self.decoder = DeepDecoder(latent_dim) if decoder is None else decoder
        self.visual_features = visual_features

    def z_prior(self, utterances: Utterances) -> MarkovNormal:
        """p(z), batch shape (B, N), event shape (L,)."""
        features = self._features(utterances)

        def transition(previous: Tensor, frames: slice) -> Gaussian:
            return self.transition(previous, *(part[..., frames, :] for part in features))

        rest = utterances.noisy_power.new_zeros(len(utterances), 1, self.latent_dim)
        mean, scale = transition(rest, slice(0, 1))
        return MarkovNormal((mean[..., 0, :], scale[..., 0, :]), transition, utterances.frames)

    def latent(self, utterances: Utterances, plates: Plates) -> Latent:
        """Sample ``z``, (B, N, L)."""
        with plates.every_frame():
            return Latent(pyro.sample("z", self.z_prior(utterances)))

    def speech_variance(self, latent: Latent, utterances: Utterances) -> Tensor:
        """Variance of speech (..., B, N, F) from z (..., B, N, L) and the mouth."""
        return self.decoder(latent.z, *self._features(utterances))

    def _features(self, utterances: Utterances) -> tuple[Tensor, ...]:
        return () if self.visual_features is None else (self.visual_features(utterances),)
