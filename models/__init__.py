"""Pyro models: speech priors, noise models, the noisy mixture."""

from minvae_pyro.models.alpha_priors import (
    FixedAlphaPrior,
    FixedMarkovAlphaPrior,
    LearntAlphaPrior,
    LearntMarkovAlphaPrior,
    MarkovAlphaPrior,
    UtteranceAlphaPrior,
    UtteranceMarkovAlphaPrior,
    reweigh,
)
from minvae_pyro.models.audio_visual import AudioVisualVAE, ConditionalVAE
from minvae_pyro.models.bayesian_nmf import BayesianNMFNoise
from minvae_pyro.models.deep_kalman_filter import DeepKalmanFilter
from minvae_pyro.models.min_vae import ConditionalMinVAE, MinVAE, MinVAEv2
from minvae_pyro.models.mixture_of_vaes import MixtureOfVAEs, SwitchingVAE
from minvae_pyro.models.noise import FrozenNoise, NMFNoise, NoiseModel, StationaryNoise
from minvae_pyro.models.noisy_mixture import NoisyMixture
from minvae_pyro.models.speech_prior import Latent, SpeechPrior, spectral_likelihood
from minvae_pyro.models.vae import AudioVAE, VisualVAE
from minvae_pyro.models.visual_features import FeatureComponent, MissingFeatures, MouthFeatures
from minvae_pyro.models.z_priors import (
    ConditionalComponent,
    ConstantComponent,
    SharpenedComponent,
    StandardComponent,
    sharpen,
)

__all__ = [
    "AudioVAE",
    "AudioVisualVAE",
    "BayesianNMFNoise",
    "ConditionalComponent",
    "ConditionalMinVAE",
    "ConditionalVAE",
    "ConstantComponent",
    "DeepKalmanFilter",
    "FeatureComponent",
    "FixedAlphaPrior",
    "FixedMarkovAlphaPrior",
    "FrozenNoise",
    "Latent",
    "LearntAlphaPrior",
    "LearntMarkovAlphaPrior",
    "MarkovAlphaPrior",
    "MinVAE",
    "MinVAEv2",
    "MissingFeatures",
    "MixtureOfVAEs",
    "MouthFeatures",
    "NMFNoise",
    "NoiseModel",
    "NoisyMixture",
    "SharpenedComponent",
    "SpeechPrior",
    "StandardComponent",
    "StationaryNoise",
    "SwitchingVAE",
    "UtteranceAlphaPrior",
    "UtteranceMarkovAlphaPrior",
    "VisualVAE",
    "reweigh",
    "sharpen",
    "spectral_likelihood",
]
