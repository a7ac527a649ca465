"""The variational engine without tracing in its inner loop: the same bound in plain torch, where it has that form."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import kl_divergence

from minvae_pyro.guides import MeanFieldGuide, UtteranceGuide
from minvae_pyro.guides.alpha_posterior import both_alphas, latent_trace
from minvae_pyro.inference.adam import Adam
from minvae_pyro.inference.engine import update_alpha
from minvae_pyro.inference.pyro_parts import ELBO_USED, OPTIMISER_USED
from minvae_pyro.inference.svi import StochasticVariational
from minvae_pyro.models import NoisyMixture
from minvae_pyro.models.speech_prior import Latent
from minvae_pyro.probability.likelihoods import VARIANCE_FLOOR
from minvae_pyro.utterances import Utterances


@dataclass(frozen=True)
class Compiled:
    """The latent part of a story whose p(z | alpha) is a normal that does not depend on z.

    Attributes:
        alpha: p(alpha), batch shape (B, N); None for a story without it.
        z: p(z | alpha), a normal that broadcasts to (2, B, N, L), or (B, N, L) without alpha.
        dependent: whether the variance of speech depends on alpha.
    """

    alpha: Any
    z: dist.Normal
    dependent: bool


def compiled(mixture: NoisyMixture, guide: UtteranceGuide, utterances: Utterances) -> Compiled | None:
    """Trace a story; None where the bound has no closed form but for the likelihood.

    That is where the prior has other sites, z follows from itself or is no normal, or q(z) is not a plain normal.

    Args:
        mixture: any prior plus any noise model.
        guide: a started guide.
        utterances: the noisy batch.
    """
    own: Any = type(guide)
    as_usual = own.forward is UtteranceGuide.forward and own.z_given is UtteranceGuide.z_given
    if not as_usual or own.z_posterior is not MeanFieldGuide.z_posterior:
        return None
    with torch.no_grad():
        z: Any = guide.z_posterior().mean
        alpha = both_alphas(z)
        trace = latent_trace(mixture, utterances, alpha=alpha, z=z)
    sites = trace.nodes
    normal = getattr(sites["z"]["fn"], "base_dist", None) if "z" in sites else None
    if set(trace.observation_nodes) - {"alpha", "z"} or trace.stochastic_nodes or type(normal) is not dist.Normal:
        return None
    latent = sites["_RETURN"]["value"]
    # a story that makes something else of its sites
    if latent.z is not z or (latent.alpha is not None and latent.alpha is not alpha):
        return None
    return Compiled(sites["alpha"]["fn"] if "alpha" in sites else None, normal, latent.alpha is not None)


class _Score(torch.autograd.Function):
    """Sum over the cells that count of -log V - power / V, V = gain * speech + noise; half the passes of its autograd.

    Also gives 1 / V and power / V, which the M-step needs, without gradient.
    """

    @staticmethod
    def forward(
        ctx: Any, speech: Tensor, gain: Tensor, noise: Tensor, power: Tensor, counts: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        variance = torch.addcmul(noise, gain, speech).clamp_min_(VARIANCE_FLOOR)
        inverse = variance.reciprocal()
        ratio = power * inverse
        ctx.save_for_backward(gain, inverse, ratio, counts)
        ctx.mark_non_differentiable(inverse, ratio)
        score = variance.log_().add_(ratio)
        return -(score if counts is None else score.mul_(counts)).sum(-1), inverse, ratio

    @staticmethod
    def backward(ctx: Any, slope: Any, *_: Any) -> Any:
        gain, inverse, ratio, counts = ctx.saved_tensors
        slopes = (ratio - 1).mul_(inverse).mul_(gain * slope[..., None])
        return (slopes if counts is None else slopes.mul_(counts)), None, None, None, None


@dataclass(frozen=True)
class Step:
    """The bound at one draw of z.

    Attributes:
        value: what depends on q(z), ().
        speech: variance of speech, the gain left out, (B, N, F), or (2, B, N, F) where it depends on alpha.
        inverse: 1 / V, V the variance of the mixture, of the same shape.
        ratio: power / V.
    """

    value: Tensor
    speech: Tensor
    inverse: Tensor
    ratio: Tensor


class CompiledBound:
    """The bound of :class:`minvae_pyro.probability.elbo.AnalyticTraceEnum_ELBO` without its traces.

    Equation :eq:`noisy-bound`::

        sum over frames of
            E_q(alpha)[E_q[log p(x | z, alpha)] - KL(q(z | alpha) || p(z | alpha))]
            - KL(q(alpha) || p(alpha))

    Args:
        mixture: any prior plus any noise model.
        guide: the posterior.
        utterances: the noisy batch.
        parts: what :func:`compiled` found.
    """

    def __init__(self, mixture: NoisyMixture, guide: UtteranceGuide, utterances: Utterances, parts: Compiled) -> None:
        self.mixture, self.guide, self.utterances, self.parts = mixture, guide, utterances, parts
        self.power = utterances.power
        # scored as power, which differs by a constant: it need not be worked out again
        self.noisy_power = utterances.replace(spectrum=self.power)
        self.cells = utterances.evidence
        # None: all cells of a frame, which costs nothing
        self.counts = None if utterances.observed is None else utterances.evident.to(self.power.dtype)
        self.share: Tensor | float = 1.0 if utterances.independent is None else utterances.independent
        self.constant = 0.0
        if utterances.spectrum.is_complex():
            self.constant = math.log(math.pi) * float(self.cells.expand(self.power.shape).sum())
        self.divergence = self._alpha_divergence()

    @property
    def weight(self) -> Tensor:
        """q(alpha), (2, B, N), or ones, (B, N), without alpha; zero in padding."""
        mask = self.utterances.mask.to(self.power.dtype)
        if self.guide.alpha is None:
            return mask
        audio = self.guide.alpha.mean.detach()
        return torch.stack([1 - audio, audio]) * mask

    def step(self, noise: Tensor, weight: Tensor) -> Step:
        """Evaluate at one draw of z, given the variance of the noise, (B, N, F), and :attr:`weight`."""
        posterior: Any = self.guide.z_posterior().base_dist
        z = posterior.rsample()
        latent = Latent(z, both_alphas(z) if self.parts.dependent else None)
        speech = self.mixture.speech.speech_variance(latent, self.utterances)
        score, inverse, ratio = _Score.apply(speech, self.mixture.gain, noise, self.power, self.counts)
        divergence = kl_divergence(posterior, self.parts.z).sum(-1)
        return Step(((self.share * score - divergence) * weight).sum(), speech.detach(), inverse, ratio)

    @torch.no_grad()
    def m_step(self, step: Step) -> None:
        """Move noise and gain at once by equation :eq:`noise-update`, all from the variances of one step."""
        mixture, both = self.mixture, step.speech.dim() == 4
        # where alpha has no say in the likelihood its weights sum to one
        share = self.weight[..., None] * self.cells if both else self.cells
        inverse = step.inverse * share
        ratio = inverse * step.ratio
        rise, fall = ((step.speech * part).sum(-1) for part in (ratio, inverse))
        if both:
            inverse, ratio, rise, fall = (part.sum(0) for part in (inverse, ratio, rise, fall))
        mixture.noise.m_step(lambda: (ratio, inverse))
        mixture.move_gain(rise, fall)

    def update_alpha(self, done: float) -> None:
        """E-step of alpha and M-step of pi, see :func:`update_alpha`; then p(alpha) is taken from the story anew."""
        before = self.guide.alpha
        update_alpha(self.mixture, self.guide, self.mixture, self.noisy_power, done)
        if self.guide.alpha is not before:
            parts = compiled(self.mixture, self.guide, self.noisy_power)
            assert parts is not None
            self.parts = parts
            self.divergence = self._alpha_divergence()

    @torch.no_grad()
    def rest(self) -> Tensor:
        """What does not depend on q(z): divergence of alpha, prior of the noise, the constant of the likelihood."""
        return self.mixture.noise.log_prior(self.utterances).sum() - self.constant - self.divergence

    @torch.no_grad()
    def _alpha_divergence(self) -> Tensor:
        """KL(q(alpha) || p(alpha)), summed; zero without alpha."""
        if self.guide.alpha is None:
            return self.power.new_zeros(())
        divergence = kl_divergence(self.guide.alpha, self.parts.alpha)
        return torch.where(self.utterances.mask, divergence, 0).sum()


@dataclass
class FastVariational(StochasticVariational):
    """The bound of ``svi``, climbed without tracing; what has no such form goes through ``svi`` itself.

    So does what is given another bound or optimiser. Each step moves q(z) by Adam along one draw, at a rate that falls
    along a cosine. The M-step moves noise and gain together, from the variances of the last step; unlike that of
    ``svi``, which recomputes them for each factor, it may lower the bound.

    Attributes:
        iterations: EM iterations.
        steps: gradient steps in each.
        learning_rate: of Adam in the first iteration.
        samples: draws of z in each M-step of ``svi``, for what goes through it.
        last_rate: of Adam in the last iteration.
    """

    iterations: int = 30
    steps: int = 2
    learning_rate: float = 0.1
    last_rate: float = 0.02

    def run(self, mixture: NoisyMixture, guide: UtteranceGuide, utterances: Utterances) -> Iterator[float]:
        """Climb the bound where it has a closed form, else run ``svi``; see :class:`InferenceEngine`."""
        usual = (self.elbo, self.optimiser) == (ELBO_USED, OPTIMISER_USED)
        parts = compiled(mixture, guide, utterances) if usual else None
        if parts is None:
            yield from super().run(mixture, guide, utterances)
            return
        bound = CompiledBound(mixture, guide, utterances, parts)
        parameters = list(guide.parameters())
        # a shorter memory of squared gradients than the usual: the first ones are by far the largest
        adam = Adam(parameters, betas=(0.9, 0.95))
        for iteration in range(1, self.iterations + 1):
            noise, weight = mixture.noise(bound.noisy_power), bound.weight
            for _ in range(self.steps):
                step = bound.step(noise, weight)
                adam.step(torch.autograd.grad(step.value, parameters), self._rate(iteration))
            value = float(step.value.detach() + bound.rest())
            bound.update_alpha(iteration / self.iterations)
            bound.m_step(step)
            yield value

    def _rate(self, iteration: int) -> float:
        share = (iteration - 1) / max(1, self.iterations - 1)
        return self.last_rate + (self.learning_rate - self.last_rate) * (1 + math.cos(math.pi * share)) / 2
