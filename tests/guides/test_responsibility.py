"""Rules for q(alpha) by themselves; the bound that they make is in the tests of the guides."""

import math
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

from minvae_pyro.guides import Evidence, FixedResponsibility, GatedResponsibility, TableResponsibility
from minvae_pyro.nn.base import Gate


def nothing() -> Any:
    raise AssertionError("nobody needs to know")


UNASKED = Evidence(nothing, nothing)


class Watching(Gate):
    """Keeps what it is shown."""

    def forward(self, heard: Tensor, predicted: Tensor, seen: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        self.shown = heard, predicted, seen, mask
        return predicted.mean(-1)


@pytest.mark.parametrize("weight", [0.2, 0.5, 0.9])
def test_a_table_starts_at_its_weight_and_stays_so_until_it_is_prepared(world: Any, weight: float) -> None:
    table, batch = TableResponsibility(7, 4, weight), world.with_gaps(world.batch(2, 3))
    expected = torch.where(batch.mouth_seen, math.log(weight / (1 - weight)), 30.0).double()
    for _ in range(2):
        found = table.eval().posterior(batch, UNASKED)
        torch.testing.assert_close(found.logits, expected, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(table(batch, UNASKED), found.logits)
        table.refresh()


def test_a_table_holds_what_it_was_prepared_for_after_a_refresh(world: Any) -> None:
    table, batch = TableResponsibility(7, 4, 0.3), world.batch(2, 3)
    audio, visual = torch.randn(2, 2, 3, dtype=torch.float64)
    prior = dist.Bernoulli(logits=torch.tensor(-0.4).double())
    deferred: Any = table.train().posterior(batch, Evidence(lambda: (prior, audio, visual), nothing))
    torch.testing.assert_close(deferred.mean, torch.full((2, 3), 0.3).double())
    table.refresh()
    found = table.eval().posterior(batch, UNASKED)
    torch.testing.assert_close(found.logits, audio - visual - 0.4, rtol=1e-6, atol=1e-6)
    # recordings and frames that were not in the batch
    others = torch.ones(7, 4, dtype=torch.bool)
    others[batch.index, :3] = False
    torch.testing.assert_close(table.logit[others], torch.full((22,), math.log(0.3 / 0.7)))


@pytest.mark.parametrize("weight", [0.2, 0.5, 0.9])
def test_a_fixed_one_is_its_weight_where_a_mouth_is_seen(world: Any, weight: float) -> None:
    batch = world.with_gaps(world.batch(2, 3))
    found = FixedResponsibility(weight).posterior(batch, UNASKED).mean
    torch.testing.assert_close(found[batch.mouth_seen], torch.full_like(found[batch.mouth_seen], weight))
    assert (found[~batch.mouth_seen] > 1 - 1e-12).all()


def test_a_gate_is_shown_the_frames_that_exist_and_have_a_mouth_and_trains_itself_alone(world: Any) -> None:
    batch = world.with_gaps(world.batch(2, 3))
    seen, mask = batch.mouth_seen.clone(), batch.mask.clone()
    seen[-1, -1] = True  # a mouth in padding
    batch = batch.replace(mouth_seen=seen)
    weight = torch.ones(5, dtype=torch.float64, requires_grad=True)
    variance = weight * torch.rand(2, 3, 5, dtype=torch.float64)
    normal = (weight[:3].expand(2, 3, 3), torch.ones(2, 3, 3).double())
    gate = Watching()
    logits = GatedResponsibility(gate)(batch, Evidence(nothing, lambda: (normal, variance * weight)))
    heard, predicted, _, shown = gate.shown
    assert shown.equal(seen & mask)
    assert heard is batch.noisy_power
    torch.testing.assert_close(predicted, variance.detach())
    torch.testing.assert_close(logits, torch.where(seen, variance.detach().mean(-1), 30.0))
    assert not logits.requires_grad
