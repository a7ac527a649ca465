"""MIN-VAE v2: the mixture of inference networks with a decoder that sees the mouth (arXiv 1912.10647)."""

from __future__ import annotations

from typing import Self

from torch import Tensor, nn

from minvae_pyro.audio_visual_networks import ConcatenatingDecoder
from minvae_pyro.models.components import ConditionalComponent, GivenComponent, StandardComponent
from minvae_pyro.models.min_vae import MinVAE
from minvae_pyro.models.sight import GivenSight, LookingPrior
from minvae_pyro.models.speech_prior import shallow_copy
from minvae_pyro.networks import MouthConvolution
from minvae_pyro.utterances import Utterances


class MinVAEv2(LookingPrior, MinVAE):
    """MIN-VAE v2: a mixture of an audio and a visual component, a decoder that sees the mouth (arXiv 1912.10647).

    ::

        v = sight(mouth)                                        # zero in frames without one
        for n in frames:
            alpha[n] ~ Bernoulli(pi)                            # alpha_prior; 1 audio, 0 visual
            z[n] | alpha[n] = 1 ~ N(0, I)                       # z_prior
            z[n] | alpha[n] = 0 ~ N(mu_v(mouth), var_v(mouth))
            s[n] | z[n] ~ N_c(0, diag variance(z[n], v[n]))     # speech_variance

    The published model has two constant components and features of its own: hand them over.

    Args:
        latent_dim: L.
        decoder: maps z (..., L) and features (..., V) to variance (..., F); layers of 128 tanh units when omitted.
        audio_component: prior of z under alpha = 1, the standard normal when omitted.
        visual_component: prior of z under alpha = 0, conditional on the mouth when omitted.
        sight: maps utterances to features of the mouth (B, N, V); the mean of the visual component when omitted.
        mixing: log-odds of alpha = 1 per frame; one learnt pi when omitted.
    """

    def __init__(
        self,
        latent_dim: int = 32,
        decoder: nn.Module | None = None,
        audio_component: nn.Module | None = None,
        visual_component: nn.Module | None = None,
        sight: nn.Module | None = None,
        mixing: nn.Module | None = None,
    ) -> None:
        super().__init__(
            latent_dim,
            ConcatenatingDecoder(latent_dim, latent_dim) if decoder is None else decoder,
            StandardComponent(latent_dim) if audio_component is None else audio_component,
            ConditionalComponent(MouthConvolution(latent_dim=latent_dim))
            if visual_component is None
            else visual_component,
            mixing,
        )
        self.sight = sight

    def features(self, utterances: Utterances) -> Tensor:
        """What the decoder sees of the mouth, (B, N, V)."""
        return self.visual_component(utterances)[0] if self.sight is None else self.sight(utterances)

    def speech_variance(self, z: Tensor, utterances: Utterances) -> Tensor:
        """Variance of speech (..., B, N, F) from z (..., B, N, L) and the mouth."""
        return self.decoder(z, self.features(utterances))

    def looking(self, utterances: Utterances) -> Self:
        """The same prior with all that it sees of these mouths worked out once, differentiable."""
        prior = shallow_copy(self)
        mean, scale = self.visual_component(utterances)
        prior.visual_component = GivenComponent(mean, scale)
        prior.sight = GivenSight(mean if self.sight is None else self.sight(utterances))
        return prior
