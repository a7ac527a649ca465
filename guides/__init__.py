"""Pyro guides: posteriors for training and for test time."""

from minvae_pyro.guides.posteriors import CleanPosterior, HeardPosterior, SeenPosterior
from minvae_pyro.guides.responsibility import (
    CollapsedResponsibility,
    FixedResponsibility,
    GatedResponsibility,
    TableResponsibility,
)
from minvae_pyro.guides.training import AudioGuide, MixtureGuide, VisualGuide

__all__ = [
    "AudioGuide",
    "CleanPosterior",
    "CollapsedResponsibility",
    "FixedResponsibility",
    "GatedResponsibility",
    "HeardPosterior",
    "MixtureGuide",
    "SeenPosterior",
    "TableResponsibility",
    "VisualGuide",
]
