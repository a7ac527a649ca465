"""Pyro models: speech priors, noise models, the noisy mixture."""

from minvae_pyro.models.audio_visual import AudioVisualVAE, ConditionalVAE
from minvae_pyro.models.bayesian_nmf import BayesianNMFNoise
from minvae_pyro.models.components import (
    ConditionalComponent,
    ConstantComponent,
    GivenComponent,
    SharpenedComponent,
    StandardComponent,
    sharpen,
)
from minvae_pyro.models.deep_kalman_filter import DeepKalmanFilter
from minvae_pyro.models.frozen import FrozenNoise
from minvae_pyro.models.min_vae import ConditionalMinVAE, MinVAE
from minvae_pyro.models.min_vae_v2 import MinVAEv2
from minvae_pyro.models.mixing import FixedMixing, LearntMixing, UtteranceMixing, reweigh
from minvae_pyro.models.mixture_of_vaes import MixtureOfVAEs
from minvae_pyro.models.noise import NMFNoise, NoiseModel
from minvae_pyro.models.noisy_mixture import NoisyMixture
from minvae_pyro.models.sight import GivenSight, MissingSight, Sight, SightComponent
from minvae_pyro.models.speech_prior import SpeechPrior, spectral_likelihood
from minvae_pyro.models.stationary import StationaryNoise
from minvae_pyro.models.switching import FixedSwitching, LearntSwitching, Switching, UtteranceSwitching
from minvae_pyro.models.switching_vae import SwitchingVAE
from minvae_pyro.models.vae import AudioVAE, VisualVAE

__all__ = [
    "AudioVAE",
    "AudioVisualVAE",
    "BayesianNMFNoise",
    "ConditionalComponent",
    "ConditionalMinVAE",
    "ConditionalVAE",
    "ConstantComponent",
    "DeepKalmanFilter",
    "FixedMixing",
    "FixedSwitching",
    "FrozenNoise",
    "GivenComponent",
    "GivenSight",
    "LearntMixing",
    "LearntSwitching",
    "MinVAE",
    "MinVAEv2",
    "MissingSight",
    "MixtureOfVAEs",
    "NMFNoise",
    "NoiseModel",
    "NoisyMixture",
    "SharpenedComponent",
    "Sight",
    "SightComponent",
    "SpeechPrior",
    "StandardComponent",
    "StationaryNoise",
    "Switching",
    "SwitchingVAE",
    "UtteranceMixing",
    "UtteranceSwitching",
    "VisualVAE",
    "reweigh",
    "sharpen",
    "spectral_likelihood",
]
