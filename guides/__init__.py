"""Pyro guides: posteriors for training and for test time."""

from minvae_pyro.guides.audio_visual import AudioVisualGuide
from minvae_pyro.guides.deep_kalman_filter import RecurrentGuide, StructuredGuide
from minvae_pyro.guides.encoders import CleanAudioEncoder, MouthEncoder, NoisyAudioEncoder
from minvae_pyro.guides.min_vae import MixtureGuide, SharedGuide
from minvae_pyro.guides.mixture_of_vaes import TwoVAEsGuide
from minvae_pyro.guides.responsibility import (
    CollapsedResponsibility,
    Evidence,
    FixedResponsibility,
    GatedResponsibility,
    Responsibility,
    TableResponsibility,
)
from minvae_pyro.guides.test_time.amortised import AmortisedGuide
from minvae_pyro.guides.test_time.base import UtteranceGuide
from minvae_pyro.guides.test_time.mean_field import (
    MeanFieldGuide,
    MixtureUtteranceGuide,
    PatientMixtureGuide,
    PointGuide,
)
from minvae_pyro.guides.test_time.particles import ParticleGuide
from minvae_pyro.guides.test_time.smoothed import SmoothedGuide
from minvae_pyro.guides.vae import AudioGuide, VisualGuide

__all__ = [
    "AmortisedGuide",
    "AudioGuide",
    "AudioVisualGuide",
    "CleanAudioEncoder",
    "CollapsedResponsibility",
    "Evidence",
    "FixedResponsibility",
    "GatedResponsibility",
    "MeanFieldGuide",
    "MixtureGuide",
    "MixtureUtteranceGuide",
    "MouthEncoder",
    "NoisyAudioEncoder",
    "ParticleGuide",
    "PatientMixtureGuide",
    "PointGuide",
    "RecurrentGuide",
    "Responsibility",
    "SharedGuide",
    "SmoothedGuide",
    "StructuredGuide",
    "TableResponsibility",
    "TwoVAEsGuide",
    "UtteranceGuide",
    "VisualGuide",
]
