"""Pyro guides: posteriors for training and for test time."""

from minvae_pyro.guides.amortised import AmortisedGuide
from minvae_pyro.guides.audio_visual import AudioVisualGuide
from minvae_pyro.guides.dynamics import RecurrentGuide, StructuredGuide
from minvae_pyro.guides.particles import ParticleGuide
from minvae_pyro.guides.patient import PatientMixtureGuide
from minvae_pyro.guides.posteriors import CleanPosterior, HeardPosterior, SeenPosterior
from minvae_pyro.guides.responsibility import (
    CollapsedResponsibility,
    Evidence,
    FixedResponsibility,
    GatedResponsibility,
    Responsibility,
    TableResponsibility,
)
from minvae_pyro.guides.smoothed import SmoothedGuide
from minvae_pyro.guides.training import AudioGuide, MixtureGuide, SharedGuide, VisualGuide
from minvae_pyro.guides.two_vaes import TwoVAEsGuide
from minvae_pyro.guides.utterance import MeanFieldGuide, MixtureUtteranceGuide, PointGuide, UtteranceGuide

__all__ = [
    "AmortisedGuide",
    "AudioGuide",
    "AudioVisualGuide",
    "CleanPosterior",
    "CollapsedResponsibility",
    "Evidence",
    "FixedResponsibility",
    "GatedResponsibility",
    "HeardPosterior",
    "MeanFieldGuide",
    "MixtureGuide",
    "MixtureUtteranceGuide",
    "ParticleGuide",
    "PatientMixtureGuide",
    "PointGuide",
    "RecurrentGuide",
    "Responsibility",
    "SeenPosterior",
    "SharedGuide",
    "SmoothedGuide",
    "StructuredGuide",
    "TableResponsibility",
    "TwoVAEsGuide",
    "UtteranceGuide",
    "VisualGuide",
]
