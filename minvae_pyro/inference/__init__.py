"""Inference at test time: engines, and the one call that runs them."""

from minvae_pyro.inference.engine import InferenceEngine
from minvae_pyro.inference.fast import FastVariational
from minvae_pyro.inference.infer import Inference, infer
from minvae_pyro.inference.langevin import LangevinEM
from minvae_pyro.inference.metropolis import MetropolisHastingsEM
from minvae_pyro.inference.particle_em import ParticleEM
from minvae_pyro.inference.point import PointEM
from minvae_pyro.inference.settings import DEFAULT_ENGINE, Settings
from minvae_pyro.inference.svi import StochasticVariational
from minvae_pyro.inference.vem import VariationalEM

__all__ = [
    "DEFAULT_ENGINE",
    "FastVariational",
    "Inference",
    "InferenceEngine",
    "LangevinEM",
    "MetropolisHastingsEM",
    "ParticleEM",
    "PointEM",
    "Settings",
    "StochasticVariational",
    "VariationalEM",
    "infer",
]
