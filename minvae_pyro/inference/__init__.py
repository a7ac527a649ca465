"""Inference at test time: engines, and the one call that runs them."""

from minvae_pyro.inference.beginning import Beginning as Beginning, begin as begin
from minvae_pyro.inference.engine import (
    InferenceEngine as InferenceEngine,
    posterior_gain as posterior_gain,
    update_noise as update_noise,
)
from minvae_pyro.inference.fast import FastVariational as FastVariational
from minvae_pyro.inference.infer import Inference as Inference, infer as infer
from minvae_pyro.inference.langevin import LangevinEM as LangevinEM
from minvae_pyro.inference.metropolis import MetropolisHastingsEM as MetropolisHastingsEM
from minvae_pyro.inference.particle_em import ParticleEM as ParticleEM
from minvae_pyro.inference.point import PointEM as PointEM
from minvae_pyro.inference.predictive import draw_speech as draw_speech
from minvae_pyro.inference.settings import DEFAULT_ENGINE as DEFAULT_ENGINE, Settings as Settings
from minvae_pyro.inference.svi import StochasticVariational as StochasticVariational
from minvae_pyro.inference.vem import VariationalEM as VariationalEM
