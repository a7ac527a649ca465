"""Pyro guides: posteriors for training and for test time."""

from minvae_pyro.guides.posteriors import CleanPosterior, HeardPosterior, SeenPosterior
from minvae_pyro.guides.responsibility import (
    CollapsedResponsibility,
    Evidence,
    FixedResponsibility,
    GatedResponsibility,
    Responsibility,
    TableResponsibility,
)
from minvae_pyro.guides.training import AudioGuide, MixtureGuide, SharedGuide, VisualGuide
from minvae_pyro.guides.utterance import MeanFieldGuide, PointGuide, component_log_odds

__all__ = [
    "AudioGuide",
    "CleanPosterior",
    "CollapsedResponsibility",
    "Evidence",
    "FixedResponsibility",
    "GatedResponsibility",
    "HeardPosterior",
    "MeanFieldGuide",
    "MixtureGuide",
    "PointGuide",
    "Responsibility",
    "SeenPosterior",
    "SharedGuide",
    "TableResponsibility",
    "VisualGuide",
    "component_log_odds",
]
