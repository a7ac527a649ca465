"""A posterior held by equally probable values of z: what engines that sample or climb leave behind."""

from __future__ import annotations

from typing import Any, Self

import pyro.distributions as dist
import torch
from pyro.nn import PyroParam
from torch import Tensor

from minvae_pyro.guides.alpha_posterior import Story
from minvae_pyro.guides.base import TrainingGuide
from minvae_pyro.guides.test_time.base import UtteranceGuide
from minvae_pyro.guides.test_time.log_joint import latent_joint
from minvae_pyro.probability.handlers import plates_around
from minvae_pyro.probability.markov import BinaryMarkovChain, mean_log_odds
from minvae_pyro.probability.normals import Gaussian
from minvae_pyro.utterances import Utterances


class ParticleGuide(UtteranceGuide):
    """q(z, alpha) as a set of values of z over all frames, each with its own p(alpha | z, x).

    ::

        s ~ Uniform(1, ..., S)
        z[n] = particles[s, n]              # frames belong together
        alpha[n] ~ p(alpha[n] | z, x)       # only for priors that have it; never drawn

    One particle is a point estimate. Gradient engines move one particle at a time, picked at random.

    Args:
        chains: values that are moved side by side; an engine may keep several of each.
    """

    def __init__(self, chains: int = 4) -> None:
        super().__init__()
        if chains < 1:
            raise ValueError(f"a posterior needs at least 1 of chains, not {chains}")
        self.chains = chains
        self._each: Tensor | None = None

    @classmethod
    def around(cls, guide: UtteranceGuide, chains: int) -> ParticleGuide:
        """Particles that start at the mean of another guide; one of particles is taken as it is.

        Where that mean depends on alpha, the chains are divided between sound and mouth by q(alpha).

        Args:
            guide: a started guide; its q(alpha) goes on here.
            chains: S.
        """
        if isinstance(guide, ParticleGuide):
            return guide
        fresh = cls(chains)
        with torch.no_grad():
            mean: Any = guide.z_posterior().mean
            if mean.dim() == 4:
                assert guide.alpha is not None
                place = (torch.arange(chains, device=mean.device, dtype=mean.dtype) + 0.5) / chains
                audio = place[:, None, None] < guide.alpha.mean
                mean = torch.where(audio[..., None], mean[1], mean[0])
        fresh.set_particles(mean.expand(chains, *mean.shape[-3:]))
        fresh.alpha, fresh._given = guide.alpha, guide._given
        return fresh

    def initialise(self, utterances: Utterances, begin: Gaussian, encoders: TrainingGuide | None, mixed: bool) -> None:
        """Start every particle at the mean of ``begin``."""
        self.set_particles(begin[0].expand(self.chains, *begin[0].shape))

    def warm_start(self, earlier: Self, dropped: int) -> None:
        """Go on from where the chains of an earlier window stand, see :meth:`UtteranceGuide.warm_start`."""
        known, particles = earlier.heads[..., dropped:, :], self.particles.detach().clone()
        particles[..., : known.shape[-2], :] = known
        self.set_particles(particles)

    def set_particles(self, particles: Tensor) -> None:
        """Take other particles, (S, B, N, L), whose q(alpha) :meth:`update_alpha` has yet to find."""
        self.particles = PyroParam(particles.detach().clone())
        self._each = None

    @property
    def heads(self) -> Tensor:
        """Where the chains stand, (chains, B, N, L)."""
        return self.particles[-self.chains :].detach()

    @property
    def held(self) -> dist.Distribution | None:
        """q(alpha) where it was given from outside, and does not follow from z."""
        return self.alpha if self._given else None

    def z_posterior(self) -> dist.Distribution:
        """A Dirac at the mean, batch shape (B, N), event shape (L,)."""
        return dist.Delta(self.particles.mean(0), event_dim=1)

    def z_given(self, alpha: Tensor | None) -> dist.Distribution:
        """A Dirac at a particle that is picked at random, one for each of the plates around."""
        particles: Tensor = self.particles
        return dist.Delta(particles[torch.randint(len(particles), plates_around())], event_dim=1)

    @torch.no_grad()
    def draw(self, samples: int) -> dict[str, Tensor]:
        """All particles, (S, B, N, L), whatever the number of draws."""
        return {"z": self.particles.detach()}

    @property
    def draw_responsibility(self) -> Tensor | None:
        """Each particle's own r, (S, B, N); (B, N) as long as they share one."""
        return self.responsibility if self._each is None else self._each

    def alpha_posterior(self, story: Story, utterances: Utterances) -> dist.Distribution:
        """The mean of p(alpha | z, x) over the particles, batch shape (B, N); each particle's own is kept too."""
        joint = latent_joint(story, self.particles, utterances)
        if joint.latent.alpha is not None:  # else the likelihood cancels
            joint = joint.observing(story)
        each: Any = joint.posterior()
        shape = self.particles.shape[:-1]
        self._each = each.mean.expand(shape)
        if isinstance(each, BinaryMarkovChain):
            return each.averaged()
        assert self.alpha is not None
        return dist.Bernoulli(logits=mean_log_odds(each.logits)) if each.batch_shape == shape else self.alpha
