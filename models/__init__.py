"""Pyro models: speech priors, noise models, the noisy mixture."""

from minvae_pyro.models.components import (
    ConditionalComponent,
    ConstantComponent,
    GivenComponent,
    StandardComponent,
)
from minvae_pyro.models.min_vae import ConditionalMinVAE, MinVAE
from minvae_pyro.models.mixing import FixedMixing, LearntMixing, UtteranceMixing
from minvae_pyro.models.speech_prior import SpeechPrior, spectral_likelihood
from minvae_pyro.models.vae import AudioVAE, VisualVAE

__all__ = [
    "AudioVAE",
    "ConditionalComponent",
    "ConditionalMinVAE",
    "ConstantComponent",
    "FixedMixing",
    "GivenComponent",
    "LearntMixing",
    "MinVAE",
    "SpeechPrior",
    "StandardComponent",
    "UtteranceMixing",
    "VisualVAE",
    "spectral_likelihood",
]
