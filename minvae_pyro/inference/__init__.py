"""Inference at test time: engines, and the one call that runs them."""

from minvae_pyro.inference.engine import InferenceEngine
from minvae_pyro.inference.infer import Inference, Settings, infer
from minvae_pyro.inference.svi import StochasticVariational
from minvae_pyro.inference.vem import VariationalEM

__all__ = ["Inference", "InferenceEngine", "Settings", "StochasticVariational", "VariationalEM", "infer"]
