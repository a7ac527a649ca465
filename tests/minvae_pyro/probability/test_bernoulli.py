"""Distributions of alpha: one that waits for its evidence, and one that needs none."""

from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor

from minvae_pyro.probability.bernoulli import DeferredBernoulli, KnownAlpha

PRIOR, EVIDENCE = torch.randn(2, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def deferred() -> tuple[DeferredBernoulli, list[bool]]:
    """The posterior of a Bernoulli prior, and whether each question was asked with a gradient."""
    asked: list[bool] = []

    def ask() -> tuple[Any, Tensor]:
        asked.append(torch.is_grad_enabled())
        return dist.Bernoulli(logits=PRIOR.requires_grad_()), EVIDENCE

    return DeferredBernoulli(EVIDENCE, lambda prior, odds: dist.Bernoulli(logits=prior.logits + odds), ask), asked


def test_it_asks_once_and_without_a_gradient() -> None:
    posterior, asked = deferred()
    assert posterior.batch_shape == (2, 3)
    assert posterior.enumerate_support().shape == (2, 2, 3)
    assert posterior.enumerate_support(expand=False).flatten().tolist() == [0.0, 1.0]
    assert asked == []
    expected = (PRIOR.detach() + EVIDENCE).sigmoid()
    torch.testing.assert_close(posterior.mean, expected)
    torch.testing.assert_close(posterior.logits.sigmoid(), expected)
    torch.testing.assert_close(posterior.log_prob(torch.ones(2, 3).double()).exp(), expected)
    torch.testing.assert_close(posterior.log_prob(torch.zeros(2, 3).double()).exp(), 1 - expected)
    torch.testing.assert_close(posterior.sample((4000,)).mean(0), expected, rtol=0, atol=0.05)
    assert asked == [False]
    assert not posterior.logits.requires_grad


def test_it_may_be_resolved_by_who_knows_and_repeated() -> None:
    posterior, asked = deferred()
    given = posterior.resolve(dist.Bernoulli(logits=PRIOR.requires_grad_()), 2 * EVIDENCE)
    torch.testing.assert_close(given.logits, PRIOR.detach() + 2 * EVIDENCE)
    assert not given.logits.requires_grad
    assert asked == []
    wide = posterior.expand((4, 2, 3))
    assert wide.batch_shape == (4, 2, 3)
    torch.testing.assert_close(wide.mean, (PRIOR.detach() + EVIDENCE).sigmoid().expand(4, 2, 3))


def test_what_is_known_no_evidence_moves() -> None:
    known = KnownAlpha(logits=torch.tensor([30.0, -30.0]))
    assert known.tilted(torch.tensor([-1e3, 1e3])) is known
