"""What every inference engine is."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields

import pyro
import torch
from torch import Tensor

from minvae_pyro.errors import shown
from minvae_pyro.guides import UtteranceGuide
from minvae_pyro.guides.alpha_posterior import Story, both_alphas, latent_at
from minvae_pyro.guides.test_time.base import with_branches
from minvae_pyro.models import NoisyMixture, SpeechPrior
from minvae_pyro.models.speech_prior import Latent
from minvae_pyro.probability.parameters import frozen, local_parameters
from minvae_pyro.probability.settled import settled
from minvae_pyro.utterances import Utterances

Callback = Callable[[int, int, float], None]
"""Called after each iteration with its number (from 1), the most there may be, and the objective in nats per frame."""


_LARGEST = 1e6
_RANGES = {
    "iterations": (0, 10_000),
    "steps": (1, 1_000),
    "samples": (1, 1_000),
    "chains": (1, 100_000),
    "tolerance": (0, math.inf),
}
"""What numbers of an engine may be: with more it would run on for days."""


@dataclass
class InferenceEngine(ABC):
    """Fits a guide and the noise of a mixture to noisy recordings, both in place; a subclass says how (:meth:`run`).

    Attributes:
        iterations: the most there may be.
        tolerance: nats per frame; an engine stops when its objective rises by less (:func:`has_converged`), all
            recordings of a batch together. At zero it runs all of its iterations.
    """

    iterations: int = 100
    tolerance: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            lowest, highest = _RANGES.get(one.name, (-_LARGEST, _LARGEST))
            if isinstance(value, int | float) and not lowest <= value <= highest:
                raise ValueError(
                    f"an engine needs {one.name} of at least {lowest:g} and at most {highest:g}, not {shown(value)}"
                )

    def posterior(self, guide: UtteranceGuide) -> UtteranceGuide:
        """The guide that this engine fits, beginning where a started one stands: that one, unless an engine differs."""
        return guide

    @abstractmethod
    def run(self, mixture: NoisyMixture, guide: UtteranceGuide, utterances: Utterances) -> Iterator[float]:
        """Run one iteration after the other, fitting guide and mixture in place; arguments as of :meth:`__call__`.

        Yields:
            float: the objective after each iteration, nats; higher is better.
        """

    def __call__(
        self,
        mixture: NoisyMixture,
        guide: UtteranceGuide,
        utterances: Utterances,
        *,
        callback: Callback | None = None,
    ) -> list[float]:
        """Run until the iterations are done or the objective has converged; returns it after each, nats per frame.

        Args:
            mixture: any prior plus any noise model.
            guide: the posterior to fit.
            utterances: noisy recordings; ``spectrum`` is complex.
            callback: called after each iteration.
        """
        objective: list[float] = []
        frames = int(utterances.mask.sum())
        with (
            settled(utterances.power.dtype),
            pyro.validation_enabled(False),
            local_parameters(mixture, mixture.speech, guide),
            frozen(mixture.speech),
        ):
            for value in self.run(mixture, guide, utterances):
                objective.append(value / frames)
                if callback is not None:
                    callback(len(objective), self.iterations, objective[-1])
                # nothing has converged before the patience of the guide is over
                if len(objective) >= guide.patience * self.iterations and has_converged(objective, self.tolerance):
                    break
        return objective

    def gain(self, mixture: NoisyMixture, guide: UtteranceGuide, utterances: Utterances, samples: int) -> Tensor:
        """Posterior mean of the Wiener gain, (B, N, F), over draws of z and alpha, see :func:`posterior_gain`."""
        return posterior_gain(mixture, guide, utterances, samples)


def posterior_gain(mixture: NoisyMixture, guide: UtteranceGuide, utterances: Utterances, samples: int) -> Tensor:
    """Posterior mean of the Wiener gain, (B, N, F), over draws of z and alpha: equation :eq:`wiener-filter`."""
    (draws, alpha), weight = draw_latents(mixture.speech, guide, utterances, samples)
    total = torch.zeros_like(utterances.power)
    for number, z in enumerate(draws):  # one after the other, for memory's sake
        gain = mixture.wiener_gain(Latent(z, alpha), utterances)
        if weight is None:
            total += gain
        else:
            for value, share in zip(gain, weight[number], strict=True):
                total += share[..., None] * value
    return total / len(draws) if weight is None else total


def update_noise(mixture: NoisyMixture, guide: UtteranceGuide, utterances: Utterances, samples: int = 1) -> None:
    """M-step of noise and gain over draws of the posterior: equation :eq:`noise-update`.

    Args:
        mixture: changes in place.
        guide: the posterior.
        utterances: the noisy batch.
        samples: draws of z.
    """
    latent, weight = draw_latents(mixture.speech, guide, utterances, samples)
    mixture.m_step(latent, utterances, weight)


def update_alpha(
    mixture: NoisyMixture, guide: UtteranceGuide, story: Story, utterances: Utterances, done: float
) -> None:
    """E-step of alpha, :eq:`frame-evidence`, and M-step of pi, :eq:`mixing-update`; nothing where q(alpha) is fixed.

    Args:
        mixture: its prior re-estimates pi.
        guide: holds q(alpha).
        story: what ``utterances`` are observed in.
        utterances: the batch.
        done: share of the engine's run that is behind, this iteration included, 0 to 1.
    """
    if guide.update_alpha(story, utterances, done) and guide.alpha is not None:
        mixture.speech.m_step(guide.alpha, utterances)


WINDOW = 5
"""Iterations over which the objective is averaged: one draw of z makes a single value noisy."""


def has_converged(objective: Sequence[float], tolerance: float) -> bool:
    """Whether the mean of the last five values has risen by less than the tolerance over that of the five before.

    Args:
        objective: after each iteration so far, higher is better.
        tolerance: in the unit of the objective; at zero nothing converges, not even where the objective falls.

    Example:
        >>> rising = [float(value) for value in range(20)]
        >>> has_converged(rising, 2.0), has_converged(rising, 10.0), has_converged(rising, 0.0)
        (False, True, False)
    """
    if tolerance == 0 or len(objective) < 2 * WINDOW:
        return False
    before, last = sum(objective[-2 * WINDOW : -WINDOW]), sum(objective[-WINDOW:])
    return (last - before) / WINDOW < tolerance


@torch.no_grad()
def draw_latents(
    prior: SpeechPrior, guide: UtteranceGuide, utterances: Utterances, samples: int
) -> tuple[Latent, Tensor | None]:
    """Draws of z, alpha summed over, and the probabilities of both values of alpha.

    z is (S, B, N, L), with None, when neither z nor the variance depends on alpha; otherwise (S, 2, B, N, L), with
    probabilities (S, 2, B, N), which sum to one over the first two axes.

    Args:
        prior: gives z, and the variance, from the sites.
        guide: the posterior.
        utterances: the noisy batch.
        samples: S, draws of the continuous sites.
    """
    sites = guide.draw(samples)
    responsibility = guide.draw_responsibility
    if responsibility is None:
        return latent_at(prior, utterances, **sites), None
    sites = {name: with_branches(value) for name, value in sites.items()}
    latent = latent_at(prior, utterances, **sites, alpha=both_alphas(responsibility))
    if latent.alpha is None and latent.z.shape[1] == 1:
        return Latent(latent.z[:, 0]), None
    z = latent.z.expand(-1, 2, -1, -1, -1)
    weight = torch.stack([1 - responsibility, responsibility], -3) / len(z)
    return Latent(z, latent.alpha), weight.expand(z.shape[:-1])


def expectation(values: Tensor, weight: Tensor | None) -> Tensor:
    """Mean over the draws of (S, B, N, F), or of (S, 2, B, N, F) weighted by (S, 2, B, N)."""
    return values.mean(0) if weight is None else (weight[..., None] * values).flatten(0, 1).sum(0)
