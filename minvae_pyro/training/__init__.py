"""Training: plan, noise injection, augmentation, runs."""

from minvae_pyro.training.augmentation import MouthAugmentation, MouthCorruption
from minvae_pyro.training.noise import NoNoise, RealisticNoise, UniformNoise
from minvae_pyro.training.plan import Optimisation, TrainingPlan
from minvae_pyro.training.run import train

__all__ = [
    "MouthAugmentation",
    "MouthCorruption",
    "NoNoise",
    "Optimisation",
    "RealisticNoise",
    "TrainingPlan",
    "UniformNoise",
    "train",
]
