"""Pyro models: speech priors, noise models, the noisy mixture."""

from minvae_pyro.models.components import (
    ConditionalComponent,
    ConstantComponent,
    GivenComponent,
    SharpenedComponent,
    StandardComponent,
    sharpen,
)
from minvae_pyro.models.min_vae import ConditionalMinVAE, MinVAE
from minvae_pyro.models.mixing import FixedMixing, LearntMixing, UtteranceMixing, reweigh
from minvae_pyro.models.noise import NMFNoise, NoiseModel
from minvae_pyro.models.noisy_mixture import NoisyMixture
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
    "NMFNoise",
    "NoiseModel",
    "NoisyMixture",
    "SharpenedComponent",
    "SpeechPrior",
    "StandardComponent",
    "UtteranceMixing",
    "VisualVAE",
    "reweigh",
    "sharpen",
    "spectral_likelihood",
]
