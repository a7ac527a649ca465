"""What alpha does during training, measured on validation data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from minvae_pyro.guides import CollapsedResponsibility, FixedResponsibility, MixtureGuide, TableResponsibility
from minvae_pyro.models import SpeechPrior
from minvae_pyro.utterances import Utterances

Measure = tuple[Tensor, int]
"""A mean, and over how many frames it is taken."""


@torch.no_grad()
def mixture_measures(guide: MixtureGuide, utterances: Utterances) -> dict[str, Measure]:
    """Mean responsibility, pi, and the bounds of both branches, by name, on clean and on noisy frames.

    Each comes with its number of frames, 0 where there are none; all but L_a are over frames with a mouth.

    Args:
        guide: the mixture.
        utterances: a batch with or without noise in ``noisy_power``.
    """
    posterior = dist.Normal(*guide.posteriors(utterances))
    evidence = guide.evidence(utterances, posterior, guide.draw(posterior))
    known = prior, audio, visual = evidence.bounds()
    responsibility = guide.responsibility(utterances, replace(evidence, bounds=lambda: known)).sigmoid()
    noisy = (utterances.noisy_power != utterances.power).any(-1)
    real, visible = utterances.mask, utterances.mask & utterances.mouth_seen
    return {
        "pi": _mean(prior.mean, visible),
        "r_clean": _mean(responsibility, visible & ~noisy),
        "r_noisy": _mean(responsibility, visible & noisy),
        "L_a_clean": _mean(audio, real & ~noisy),
        "L_a_noisy": _mean(audio, real & noisy),
        "L_v": _mean(visual, visible),
    }


def _mean(values: Tensor, where: Tensor) -> Measure:
    count = int(where.sum())
    return values.expand(where.shape)[where].sum() / max(1, count), count


def still(prior: SpeechPrior, guide: MixtureGuide) -> set[str]:
    """Which of :func:`mixture_measures` training cannot move: pi that is given, a responsibility that is fixed."""
    # a prior of another make may have its weights anywhere
    weighed: Any = getattr(prior, "alpha_prior", prior)
    given = set() if any(weight.requires_grad for weight in weighed.parameters()) else {"pi"}
    return given | ({"r_clean", "r_noisy"} if isinstance(guide.responsibility, FixedResponsibility) else set())


@contextmanager
def collapsed_when_unknown(guide: nn.Module) -> Iterator[None]:
    """Let the closed form stand in for a responsibility table, which has no validation utterances."""
    if isinstance(guide, MixtureGuide) and isinstance(guide.responsibility, TableResponsibility):
        table = guide.responsibility
        guide.responsibility = CollapsedResponsibility()
        try:
            yield
        finally:
            guide.responsibility = table
    else:
        yield
