"""MIN-VAE: a mixture of inference networks (Sadeghi & Alameda-Pineda, IEEE TSP 69, 2021, arXiv 1912.10647)."""

from __future__ import annotations

from typing import Any

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from minvae_pyro.models.alpha_priors import AlphaPrior, LearntAlphaPrior
from minvae_pyro.models.speech_prior import Latent, SpeechPrior, within
from minvae_pyro.models.z_priors import ConditionalComponent, ConstantComponent, StandardComponent, ZPrior
from minvae_pyro.nn.audio import SpectrumDecoder
from minvae_pyro.nn.audio_visual import ConcatenatingDecoder
from minvae_pyro.nn.base import AudioVisualDecoder, Decoder, VisualEncoder, VisualFeatures
from minvae_pyro.nn.visual import MouthConvolution
from minvae_pyro.utterances import Plates, Utterances


class MinVAE(SpeechPrior):
    """MIN-VAE v1: each frame is explained by the audio or by the visual component (arXiv 1912.10647).

    Equation :eq:`mixture-story`::

        for n in frames:
            alpha[n] ~ Bernoulli(pi)                            # alpha_prior; 1 audio, 0 visual
            z[n] | alpha[n] = 1 ~ N(mu_a, var_a I)              # z_prior
            z[n] | alpha[n] = 0 ~ N(mu_v, var_v I)
            s[n] | z[n] ~ N_c(0, diag variance(z[n]))           # speech_variance

    Args:
        latent_dim: L.
        decoder: maps z (..., L) to variance (..., F); a perceptron with 128 tanh units when omitted.
        audio_component: prior of z under alpha = 1, a constant normal when omitted.
        visual_component: prior of z under alpha = 0, a constant normal when omitted (the published model).
        alpha_prior: p(alpha); one learnt pi when omitted.

    Example:
        >>> from pyro import poutine
        >>> prior = MinVAE(latent_dim=4)
        >>> utterances = Utterances.from_spectrum(torch.ones(2, 7, 513))
        >>> trace = poutine.trace(prior).get_trace(utterances)
        >>> {name: tuple(trace.nodes[name]["value"].shape) for name in ("alpha", "z", "s")}
        {'alpha': (2, 7), 'z': (2, 7, 4), 's': (2, 7, 513)}
    """

    def __init__(
        self,
        latent_dim: int = 32,
        decoder: Decoder | None = None,
        audio_component: ZPrior | None = None,
        visual_component: ZPrior | None = None,
        alpha_prior: AlphaPrior | None = None,
    ) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.decoder = SpectrumDecoder(latent_dim) if decoder is None else decoder
        self.audio_component = ConstantComponent(latent_dim) if audio_component is None else audio_component
        self.visual_component = ConstantComponent(latent_dim) if visual_component is None else visual_component
        self.alpha_prior = LearntAlphaPrior() if alpha_prior is None else alpha_prior

    def z_prior(self, alpha: Tensor, utterances: Utterances) -> dist.Distribution:
        """p(z | alpha), event shape (L,), for alpha (..., B, N) or what broadcasts to it: it may be enumerated."""
        audio = alpha[..., None] == 1
        audio_mean, audio_scale = self.audio_component(utterances)
        visual_mean, visual_scale = self.visual_component(utterances)
        mean = torch.where(audio, audio_mean, visual_mean)
        return dist.Normal(mean, torch.where(audio, audio_scale, visual_scale)).to_event(1)

    def latent(self, utterances: Utterances, plates: Plates) -> Latent:
        """Sample ``alpha`` and ``z``; the variance depends on alpha through z alone, (..., B, N, L)."""
        with plates.every_frame():
            alpha = pyro.sample("alpha", self.alpha_prior(utterances))
            return Latent(pyro.sample("z", self.z_prior(alpha, utterances)))

    def speech_variance(self, latent: Latent, utterances: Utterances) -> Tensor:
        """Variance of speech (..., B, N, F) from z (..., B, N, L)."""
        return self.decoder(within(latent.z, utterances))


class ConditionalMinVAE(MinVAE):
    """MIN-VAE (arXiv 1912.10647) whose visual component depends on the mouth.

    Constant components that nearly coincide leave alpha almost no effect at test time; here alpha decides, frame by
    frame, whether the mouth can be trusted. Equation :eq:`conditional-component`::

        for n in frames:
            alpha[n] ~ Bernoulli(pi)                # 1 audio, 0 visual
            z[n] | alpha[n] = 1 ~ N(0, I)
            # AV-CVAE's prior, arXiv 1908.02590
            z[n] | alpha[n] = 0 ~ N(mu_v(mouth), var_v(mouth))
            s[n] | z[n] ~ N_c(0, diag variance(z[n]))

    Args:
        latent_dim: L.
        network: maps crops to mean and scale of z; a small convolutional network when omitted.
        alpha_prior: p(alpha); one learnt pi when omitted.
        decoder: maps z (..., L) to variance (..., F); a perceptron with 128 tanh units when omitted.
    """

    def __init__(
        self,
        latent_dim: int = 32,
        network: VisualEncoder | None = None,
        alpha_prior: AlphaPrior | None = None,
        decoder: Decoder | None = None,
    ) -> None:
        network = MouthConvolution(latent_dim=latent_dim) if network is None else network
        audio, visual = StandardComponent(latent_dim), ConditionalComponent(network)
        super().__init__(latent_dim, decoder, audio, visual, alpha_prior)


class MinVAEv2(MinVAE):
    """MIN-VAE v2: a mixture of an audio and a visual component, an audio-visual decoder (arXiv 1912.10647).

    The published model has two constant components and features of its own: hand them over::

        v = features(mouth)                                     # zero in frames without one
        for n in frames:
            alpha[n] ~ Bernoulli(pi)                            # alpha_prior; 1 audio, 0 visual
            z[n] | alpha[n] = 1 ~ N(0, I)                       # z_prior
            z[n] | alpha[n] = 0 ~ N(mu_v(mouth), var_v(mouth))
            s[n] | z[n] ~ N_c(0, diag variance(z[n], v[n]))     # speech_variance

    Args:
        latent_dim: L.
        decoder: maps z (..., L) and features (..., V) to variance (..., F); layers of 128 tanh units when omitted.
        audio_component: prior of z under alpha = 1, the standard normal when omitted.
        visual_component: prior of z under alpha = 0, conditional on the mouth when omitted.
        visual_features: maps utterances to features of the mouth (B, N, V); the visual component's mean when omitted.
        alpha_prior: p(alpha); one learnt pi when omitted.
    """

    def __init__(
        self,
        latent_dim: int = 32,
        decoder: AudioVisualDecoder | None = None,
        audio_component: ZPrior | None = None,
        visual_component: ZPrior | None = None,
        visual_features: VisualFeatures | None = None,
        alpha_prior: AlphaPrior | None = None,
    ) -> None:
        chosen: Any = ConcatenatingDecoder(latent_dim, latent_dim) if decoder is None else decoder
        if audio_component is None:
            audio_component = StandardComponent(latent_dim)
        if visual_component is None:
            visual_component = ConditionalComponent(MouthConvolution(latent_dim=latent_dim))
        super().__init__(latent_dim, chosen, audio_component, visual_component, alpha_prior)
        self.visual_features = visual_features

    def features(self, utterances: Utterances) -> Tensor:
        """What the decoder gets of the mouth, (B, N, V)."""
        if self.visual_features is None:
            return self.visual_component(utterances)[0]
        return self.visual_features(utterances)

    def speech_variance(self, latent: Latent, utterances: Utterances) -> Tensor:
        """Variance of speech (..., B, N, F) from z (..., B, N, L) and the mouth."""
        return self.decoder(latent.z, self.features(utterances))
