"""What the engines that move particles share."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch

from minvae_pyro.errors import UserError
from minvae_pyro.guides import MeanFieldGuide
from minvae_pyro.inference import LangevinEM, MetropolisHastingsEM, ParticleEM, PointEM

FEW: dict[str, ParticleEM] = {
    "map": PointEM(iterations=3, steps=2),
    "mcem": MetropolisHastingsEM(iterations=3, steps=4, burn_in=2, chains=2),
    "langevin": LangevinEM(iterations=3, steps=3, burn_in=1, chains=2, step_size=1e-3),
}


@pytest.mark.parametrize("name", FEW)
def test_what_every_engine_does_with_particles(small: Any, name: str) -> None:
    engine, batch = FEW[name], small.recordings(2, 4)
    batch.mask[1, -1] = False
    prior = small.vae(2, 1)
    weights = copy.deepcopy(prior.state_dict())
    mixture = small.mixture_of(prior, batch)
    mean = torch.randn(2, 4, 2, dtype=torch.float64)
    start = MeanFieldGuide().start(prior, batch, (mean, torch.ones_like(mean)))
    with pytest.raises(UserError, match="moves particles, which MeanFieldGuide has not"):
        engine(mixture, start, batch)
    guide = engine.posterior(start)
    torch.testing.assert_close(guide.heads, mean.expand(engine.chains, -1, -1, -1))
    before = mixture.noise(batch)
    told: list[Any] = []
    objective = engine(mixture, guide, batch, callback=lambda *a: told.append(a))
    assert told == [(n + 1, 3, value) for n, value in enumerate(objective)]
    assert not torch.equal(mixture.noise(batch), before)
    # the trained weights stay, and get no gradient
    torch.testing.assert_close(prior.state_dict(), weights, rtol=0, atol=0)
    assert all(p.grad is None and p.requires_grad for p in prior.parameters())
    kept = {"map": 1, "mcem": 2 * 2, "langevin": 2 * 2}[name]
    assert guide.draw(1)["z"].shape == (kept, 2, 4, 2)
    torch.testing.assert_close(guide.heads[:, 1, -1], mean[1, -1].expand(engine.chains, -1))
    # the gain is the mean over all that is kept
    speech = mixture.gain * prior.decoder(guide.draw(1)["z"]).detach()
    torch.testing.assert_close(
        engine.gain(mixture, guide, batch, 1), (speech / (speech + mixture.noise(batch))).mean(0)
    )


@pytest.mark.parametrize("name", FEW)
def test_q_of_alpha_stays_where_it_is_given(small: Any, name: str) -> None:
    batch = small.recordings(2, 4)
    prior = small.prior("two")
    for given in (True, False):
        mixture = small.mixture_of(prior, batch)
        mean, odds = torch.zeros(2, 4, 2).double(), torch.full((2, 4), 0.7).double()
        start = MeanFieldGuide().start(prior, batch, (mean, mean + 1), log_odds=odds if given else None)
        guide = FEW[name].posterior(start)
        before = guide.alpha.mean.clone()
        FEW[name](mixture, guide, batch)
        assert torch.equal(guide.alpha.mean, before) is given


@pytest.mark.parametrize(
    "make",
    [
        lambda: PointEM(steps=0),
        lambda: PointEM(iterations=0),
        lambda: PointEM(chains=0),
        lambda: MetropolisHastingsEM(chains=0),
        lambda: MetropolisHastingsEM(steps=4, burn_in=4),
        lambda: MetropolisHastingsEM(steps=4, burn_in=-1),
        lambda: MetropolisHastingsEM(proposal_variance=0.0),
        lambda: LangevinEM(steps=3, burn_in=3),
        lambda: LangevinEM(steps=3, burn_in=-1),
        lambda: LangevinEM(tolerance=-1.0),
        lambda: LangevinEM(step_size=0.0),
        lambda: LangevinEM(total_variation=-1.0),
    ],
)
def test_impossible_engines_are_refused(make: Callable[[], ParticleEM]) -> None:
    with pytest.raises(ValueError, match="needs"):
        make()


def test_the_smallest_engines_are_engines() -> None:
    smallest = {"iterations": 1, "steps": 1, "chains": 1}
    assert PointEM(**smallest).steps == 1
    assert MetropolisHastingsEM(**smallest, burn_in=0).burn_in == 0
    assert LangevinEM(**smallest, burn_in=0, total_variation=0.0).burn_in == 0
