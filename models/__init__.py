"""Pyro models: speech priors, noise models, the noisy mixture."""

from minvae_pyro.models.alpha_priors import (
    FixedAlphaPrior as FixedAlphaPrior,
    FixedMarkovAlphaPrior as FixedMarkovAlphaPrior,
    LearntAlphaPrior as LearntAlphaPrior,
    LearntMarkovAlphaPrior as LearntMarkovAlphaPrior,
    MarkovAlphaPrior as MarkovAlphaPrior,
    UtteranceAlphaPrior as UtteranceAlphaPrior,
    UtteranceMarkovAlphaPrior as UtteranceMarkovAlphaPrior,
    reweigh as reweigh,
)
from minvae_pyro.models.audio_visual import AudioVisualVAE as AudioVisualVAE, ConditionalVAE as ConditionalVAE
from minvae_pyro.models.bayesian_nmf import BayesianNMFNoise as BayesianNMFNoise
from minvae_pyro.models.bounded_noise import PauseBoundedNoise as PauseBoundedNoise
from minvae_pyro.models.deep_kalman_filter import DeepKalmanFilter as DeepKalmanFilter
from minvae_pyro.models.min_vae import ConditionalMinVAE as ConditionalMinVAE, MinVAE as MinVAE, MinVAEv2 as MinVAEv2
from minvae_pyro.models.mixture_of_vaes import MixtureOfVAEs as MixtureOfVAEs, SwitchingVAE as SwitchingVAE
from minvae_pyro.models.noise import (
    FrozenNoise as FrozenNoise,
    NMFNoise as NMFNoise,
    NoiseModel as NoiseModel,
    StationaryNoise as StationaryNoise,
)
from minvae_pyro.models.noisy_mixture import NoisyMixture as NoisyMixture
from minvae_pyro.models.speech_prior import (
    Latent as Latent,
    SpeechPrior as SpeechPrior,
    spectral_likelihood as spectral_likelihood,
)
from minvae_pyro.models.vae import AudioVAE as AudioVAE, VisualVAE as VisualVAE
from minvae_pyro.models.visual_features import (
    FeatureComponent as FeatureComponent,
    MissingFeatures as MissingFeatures,
    MouthFeatures as MouthFeatures,
)
from minvae_pyro.models.z_priors import (
    ConditionalComponent as ConditionalComponent,
    ConstantComponent as ConstantComponent,
    SharpenedComponent as SharpenedComponent,
    StandardComponent as StandardComponent,
    sharpen as sharpen,
)
