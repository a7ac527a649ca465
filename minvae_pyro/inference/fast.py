"""The variational engine without tracing in its inner loop: the same bound in plain torch, where it has that form."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import kl_divergence

from minvae_pyro.guides import MeanFieldGuide, MixtureUtteranceGuide, UtteranceGuide
from minvae_pyro.guides.alpha_posterior import both_alphas, latent_trace
from minvae_pyro.inference.adam import Adam
from minvae_pyro.inference.engine import Callback, update_alpha
from minvae_pyro.inference.svi import StochasticVariational
from minvae_pyro.models import NoisyMixture
from minvae_pyro.probability.likelihoods import VARIANCE_FLOOR
from minvae_pyro.probability.parameters import frozen, local_parameters
from minvae_pyro.utterances import Utterances


@dataclass(frozen=True)
class Compiled:
    """The latent part of a story whose p(z | alpha) is a normal that z has no say in.

    Attributes:
        alpha: p(alpha), batch shape (B, N); None for a story without it.
        z: p(z | alpha), a normal that broadcasts to (2, B, N, L), or (B, N, L) without alpha.
        carried: whether the code is z with alpha as its last coordinate; it is z itself otherwise.
    """

    alpha: Any
    z: dist.Normal
    carried: bool

    def code(self, z: Tensor) -> Tensor:
        """The code at z, (B, N, L) or (2, B, N, L)."""
        if not self.carried:
            return z
        shape = (2, *z.shape[-3:-1], 1)
        return torch.cat([z.expand(*shape[:-1], -1), both_alphas(z)[..., None].expand(shape)], -1)


def compiled(mixture: NoisyMixture, guide: UtteranceGuide, utterances: Utterances) -> Compiled | None:
    """Trace a story and see whether the bound has a closed form but for the likelihood.

    Args:
        mixture: any prior plus any noise model.
        guide: a started guide.
        utterances: the noisy batch.

    Returns:
        Compiled, or None where the prior has other sites, z follows from itself or is no normal, the code is neither
        z nor z with alpha, or q(z) is not one of the two plain normals.
    """
    own: Any = type(guide)
    drawn_plainly = own.forward is UtteranceGuide.forward and own.z_given is UtteranceGuide.z_given
    if not drawn_plainly or own.z_posterior not in (MeanFieldGuide.z_posterior, MixtureUtteranceGuide.z_posterior):
        return None
    with torch.no_grad():
        mean: Any = guide.z_posterior().mean
        # no story makes these numbers by chance: a code that holds them is z
        z = torch.linspace(-1, 1, mean.numel(), device=mean.device, dtype=mean.dtype).view_as(mean)
        trace = latent_trace(mixture, utterances, alpha=both_alphas(z), z=z)
    sites = trace.nodes
    normal = getattr(sites["z"]["fn"], "base_dist", None) if "z" in sites else None
    if set(trace.observation_nodes) - {"alpha", "z"} or trace.stochastic_nodes or type(normal) is not dist.Normal:
        return None
    found = Compiled(sites["alpha"]["fn"] if "alpha" in sites else None, normal, sites["_RETURN"]["value"] is not z)
    return found if torch.equal(found.code(z), sites["_RETURN"]["value"]) else None


class _Score(torch.autograd.Function):
    """Sum over frequencies of -log V - power / V with V = gain * speech + noise; half the passes of its autograd.

    Gives 1 / V and power / V too, which the M-step needs; no gradient goes through them.
    """

    @staticmethod
    def forward(ctx: Any, speech: Tensor, gain: Tensor, noise: Tensor, power: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        variance = torch.addcmul(noise, gain, speech).clamp_min_(VARIANCE_FLOOR)
        inverse = variance.reciprocal()
        ratio = power * inverse
        ctx.save_for_backward(gain, inverse, ratio)
        ctx.mark_non_differentiable(inverse, ratio)
        return -variance.log_().add_(ratio).sum(-1), inverse, ratio

    @staticmethod
    def backward(ctx: Any, slope: Any, *_: Any) -> Any:
        gain, inverse, ratio = ctx.saved_tensors
        return (ratio - 1).mul_(inverse).mul_(gain * slope[..., None]), None, None, None


@dataclass(frozen=True)
class Step:
    """The bound at one draw of z.

    Attributes:
        value: what depends on q(z), ().
        speech: variance of speech, the gain left out, (B, N, F), or (2, B, N, F) where alpha has a say in it.
        inverse: 1 / V, V the variance of the mixture, of the same shape.
        ratio: power / V.
    """

    value: Tensor
    speech: Tensor
    inverse: Tensor
    ratio: Tensor


class CompiledBound:
    """The enumerated ELBO with analytic divergences, as :class:`minvae_pyro.probability.elbo.AnalyticTraceEnum_ELBO` has it.

    ::

        sum over frames of  E_q(alpha)[E_q[log p(x | z, alpha)] - KL(q(z | alpha) || p(z | alpha))]
                            - KL(q(alpha) || p(alpha))

    Equation :eq:`noisy-bound`.

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
        self.constant = math.log(math.pi) * self.power.shape[-1] if utterances.spectrum.is_complex() else 0.0
        self.constant *= int(utterances.mask.sum())
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
        """Evaluate at one draw of z.

        Args:
            noise: variance of the noise, (B, N, F).
            weight: see :attr:`weight`.
        """
        posterior: Any = self.guide.z_posterior().base_dist
        code = self.parts.code(posterior.rsample())
        speech = self.mixture.speech.speech_variance(code, self.utterances)
        score, inverse, ratio = _Score.apply(speech, self.mixture.gain, noise, self.power)
        divergence = kl_divergence(posterior, self.parts.z).sum(-1)
        return Step(((score - divergence) * weight).sum(), speech.detach(), inverse, ratio)

    @torch.no_grad()
    def m_step(self, step: Step) -> None:
        """Move noise and gain at once by equation :eq:`noise-update`, all from the variances of one step."""
        mixture, both = self.mixture, step.speech.dim() == 4
        # where alpha has no say in the likelihood its weights sum to one
        share = (self.weight if both else self.utterances.mask)[..., None]
        inverse = step.inverse * share
        ratio = inverse * step.ratio
        rise, fall = ((step.speech * part).sum(-1) for part in (ratio, inverse))
        if both:
            inverse, ratio, rise, fall = (part.sum(0) for part in (inverse, ratio, rise, fall))
        mixture.noise.m_step(lambda: (ratio, inverse))
        mixture.move_gain(rise, fall)

    def update_alpha(self, done: float) -> None:
        """E-step of alpha and M-step of pi; then the story is asked for p(alpha) anew.

        Args:
            done: share of the run that is behind, 0 to 1.
        """
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

    Each step moves q(z) by Adam along one draw, at a rate that falls along a cosine. The M-step moves noise and gain
    together, from the variances that the last step has worked out; unlike that of ``svi``, which works them out
    anew for each factor, it may lower the bound.

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

    def __call__(
        self,
        mixture: NoisyMixture,
        guide: UtteranceGuide,
        utterances: Utterances,
        *,
        callback: Callback | None = None,
    ) -> list[float]:
        """Fit ``guide`` and ``mixture`` in place; see :class:`InferenceEngine`."""
        with pyro.validation_enabled(False), local_parameters(mixture, guide), frozen(mixture.speech):
            parts = compiled(mixture, guide, utterances)
            if parts is not None:
                return self._climb(CompiledBound(mixture, guide, utterances, parts), callback)
        return super().__call__(mixture, guide, utterances, callback=callback)

    def _climb(self, bound: CompiledBound, callback: Callback | None) -> list[float]:
        mixture, guide, utterances = bound.mixture, bound.guide, bound.noisy_power
        objective: list[float] = []
        frames = int(utterances.mask.sum())
        parameters = list(guide.parameters())
        # a shorter memory of squared gradients than the usual: the first ones are by far the largest
        adam = Adam(parameters, betas=(0.9, 0.95))
        for iteration in range(1, self.iterations + 1):
            noise, weight = mixture.noise(utterances), bound.weight
            for _ in range(self.steps):
                step = bound.step(noise, weight)
                adam.climb(torch.autograd.grad(step.value, parameters), self._rate(iteration))
            objective.append(float(step.value.detach() + bound.rest()) / frames)
            bound.update_alpha(iteration / self.iterations)
            bound.m_step(step)
            if self.ended(guide, objective, self.iterations, callback):
                break
        return objective

    def _rate(self, iteration: int) -> float:
        share = (iteration - 1) / max(1, self.iterations - 1)
        return self.last_rate + (self.learning_rate - self.last_rate) * (1 + math.cos(math.pi * share)) / 2
