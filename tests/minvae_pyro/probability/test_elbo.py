"""The ELBO itself, on models of its own: what it must do does not depend on speech."""

import math
import re
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import SVI, TraceEnum_ELBO, config_enumerate
from pyro.optim import ClippedAdam
from torch import Tensor
from torch.distributions import constraints

from minvae_pyro.probability.bernoulli import DeferredBernoulli
from minvae_pyro.probability.elbo import AnalyticTraceEnum_ELBO
from minvae_pyro.probability.markov import BinaryMarkovChain
from minvae_pyro.probability.normals import PresampledNormal

DATA = torch.tensor([[0.3, -1.2], [0.8, 2.0]], dtype=torch.float64)


def number(value: Any) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def model(scale: float = 1.0) -> None:
    """A mixture of two normals over z for each frame of a (2, 2) grid; alpha's axis could pass for either."""
    with pyro.plate("rows", 2, dim=-2), pyro.plate("columns", 2, dim=-1), pyro.poutine.scale(scale=scale):
        alpha = pyro.sample("alpha", dist.Bernoulli(number(0.3)))
        z = pyro.sample("z", dist.Normal(torch.where(alpha == 1, number(1.0), number(-1.0)), number(0.8)))
        pyro.sample("x", dist.Normal(z, number(0.5)), obs=DATA)


def guide(scale: float = 1.0, enumeration: str | None = "parallel") -> None:
    odds = pyro.param("odds", torch.zeros(2, 2, dtype=torch.float64))
    mean = pyro.param("mean", 0.1 * torch.arange(8, dtype=torch.float64).reshape(2, 2, 2))
    spread = pyro.param("spread", torch.full((2, 2, 2), 0.6, dtype=torch.float64), constraint=constraints.positive)
    with pyro.plate("rows", 2, dim=-2), pyro.plate("columns", 2, dim=-1), pyro.poutine.scale(scale=scale):
        infer = {} if enumeration is None else {"enumerate": enumeration}
        alpha = pyro.sample("alpha", dist.Bernoulli(logits=odds), infer=infer)
        one = alpha == 1
        pyro.sample("z", dist.Normal(torch.where(one, mean[1], mean[0]), torch.where(one, spread[1], spread[0])))


def parameters() -> list[Tensor]:
    guide()
    return [pyro.param(name).unconstrained() for name in ("odds", "mean", "spread")]


def exact_bound() -> Tensor:
    """E_q[log p(x, z, alpha) - log q(z, alpha)], all expectations of squares done by hand."""
    odds, mean, spread = (pyro.param(name) for name in ("odds", "mean", "spread"))
    total = number(0.0)
    for alpha, weight in enumerate((1 - odds.sigmoid(), odds.sigmoid())):
        prior_mean, prior_weight = (1.0, 0.3) if alpha else (-1.0, 0.7)
        m, s = mean[alpha], spread[alpha]
        likelihood = -0.5 * (2 * torch.pi * number(0.25)).log() - ((DATA - m) ** 2 + s**2) / (2 * 0.25)
        divergence = (number(0.8) / s).log() + (s**2 + (m - prior_mean) ** 2) / (2 * 0.64) - 0.5
        total = total + (weight * (likelihood - divergence + math.log(prior_weight) - weight.log())).sum()
    return total


def gradient_draws(elbo: Any, count: int) -> tuple[Tensor, Tensor]:
    """Losses and flattened gradients of the guide, (count,) and (count, P)."""
    wanted = parameters()
    losses, gradients = [], []
    for _ in range(count):
        loss = elbo.differentiable_loss(model, guide)
        losses.append(loss.detach())
        gradients.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, wanted)]))
    return torch.stack(losses), torch.stack(gradients)


def test_expectation_is_exact_and_gradients_are_less_noisy_than_sampled_ones() -> None:
    wanted = parameters()
    exact = -exact_bound()
    exact_gradient = torch.cat([g.flatten() for g in torch.autograd.grad(exact, wanted)])
    spread = {}
    for name, kind in {"analytic": AnalyticTraceEnum_ELBO, "sampled": TraceEnum_ELBO}.items():
        losses, gradients = gradient_draws(kind(max_plate_nesting=2), 120)
        assert abs(losses.mean() - exact) < 4 * losses.std() / 120**0.5, name
        error = (gradients.mean(0) - exact_gradient).abs()
        assert (error < 4.5 * gradients.std(0) / 120**0.5 + 1e-9).all(), name
        spread[name] = gradients.var(0).sum()
    assert spread["analytic"] < spread["sampled"]


def test_scaled_sites_keep_their_scale() -> None:
    elbo = AnalyticTraceEnum_ELBO(max_plate_nesting=2)

    def loss(scale: float) -> Tensor:
        torch.manual_seed(3)
        return elbo.differentiable_loss(lambda: model(scale), lambda: guide(scale))

    torch.testing.assert_close(loss(2.5), 2.5 * loss(1.0))


def test_masked_sites_do_not_count() -> None:
    mask = torch.tensor([[True, False], [True, True]])
    mean = torch.tensor([[0.5, 9.0], [1.0, 2.0]], dtype=torch.float64)

    def masked(program: Any) -> Any:
        def run() -> None:
            with pyro.plate("rows", 2, dim=-2), pyro.plate("columns", 2, dim=-1), pyro.poutine.mask(mask=mask):
                program()

        return run

    prior, posterior = dist.Normal(number(0.0), number(1.0)), dist.Normal(mean, number(1.0))
    loss = AnalyticTraceEnum_ELBO(max_plate_nesting=2).loss(
        masked(lambda: pyro.sample("z", prior)), masked(lambda: pyro.sample("z", posterior))
    )
    assert loss == pytest.approx((mean.square() / 2 * mask).sum().item())


def test_several_particles_are_averaged() -> None:
    parameters()
    torch.manual_seed(1)
    losses = [AnalyticTraceEnum_ELBO(max_plate_nesting=2).loss(model, guide) for _ in range(3)]
    torch.manual_seed(1)
    together = AnalyticTraceEnum_ELBO(max_plate_nesting=2, num_particles=3).loss(model, guide)
    assert together == pytest.approx(sum(losses) / 3)


def test_it_is_the_surrogate_that_svi_steps_on() -> None:
    parameters()
    optimiser = ClippedAdam({"lr": 0.1, "lrd": 0.01 ** (1 / 250)})
    svi = SVI(model, guide, optimiser, AnalyticTraceEnum_ELBO(max_plate_nesting=2))
    before = exact_bound().item()
    for _ in range(250):
        svi.step()
    # the family holds the posterior, so the bound reaches the evidence
    joint = [
        number(weight).log() + dist.Normal(number(mean), number(0.64 + 0.25).sqrt()).log_prob(DATA)
        for weight, mean in ((0.7, -1.0), (0.3, 1.0))
    ]
    evidence = torch.stack(joint).logsumexp(0).sum().item()
    assert before < evidence - 1
    assert exact_bound().item() == pytest.approx(evidence, abs=0.15)


def test_a_point_estimate_is_scored_by_the_prior() -> None:
    def point() -> None:
        pyro.sample("z", dist.Delta(number([0.4, -0.2]), event_dim=1))

    def prior() -> None:
        pyro.sample("z", dist.Normal(number([0.0, 0.0]), number(2.0)).to_event(1))

    loss = AnalyticTraceEnum_ELBO(max_plate_nesting=0).loss(prior, point)
    expected = -dist.Normal(number([0.0, 0.0]), number(2.0)).log_prob(number([0.4, -0.2])).sum()
    assert loss == pytest.approx(expected.item())


def test_forgotten_enumeration_is_an_error() -> None:
    elbo = AnalyticTraceEnum_ELBO(max_plate_nesting=2)
    with pytest.raises(ValueError, match=re.escape("'alpha' is sampled, not enumerated")):
        elbo.loss(model, lambda: guide(enumeration=None))
    torch.manual_seed(1)
    configured = elbo.loss(model, config_enumerate(lambda: guide(enumeration=None), default="parallel"))
    torch.manual_seed(1)
    assert configured == elbo.loss(model, guide)


def test_validation_of_pyro_is_kept() -> None:
    def out_of_plate() -> None:
        z = pyro.sample("z", dist.Normal(torch.zeros(2, 2), 1.0))
        pyro.sample("x", dist.Normal(z, 1.0), obs=torch.zeros(2, 2))

    def normal() -> None:
        pyro.sample("z", dist.Normal(torch.zeros(2, 2), 1.0))

    with pytest.raises(ValueError, match="invalid log_prob shape"):
        AnalyticTraceEnum_ELBO(max_plate_nesting=2).loss(out_of_plate, normal)

    def global_after_local(infer: dict[str, str]) -> None:
        with pyro.plate("rows", 2, dim=-1):
            pyro.sample("alpha", dist.Bernoulli(0.5), infer=infer)
        pyro.sample("late", dist.Normal(0.0, 1.0))

    with pytest.warns(RuntimeWarning, match="possibly invalid dependency"):
        AnalyticTraceEnum_ELBO(max_plate_nesting=1).loss(
            lambda: global_after_local({}), lambda: global_after_local({"enumerate": "parallel"})
        )
    with pytest.warns(UserWarning, match="vars in guide but not model"):
        AnalyticTraceEnum_ELBO(max_plate_nesting=0).loss(
            lambda: None, lambda: pyro.sample("extra", dist.Normal(0.0, 1.0))
        )


def test_without_a_registered_divergence_it_warns_and_samples() -> None:
    def heavy() -> None:
        pyro.sample("alpha", dist.Bernoulli(0.5))
        pyro.sample("z", dist.StudentT(4.0, 0.0, 1.0))

    def normal() -> None:
        pyro.sample("alpha", dist.Bernoulli(0.5), infer={"enumerate": "parallel"})
        pyro.sample("z", dist.Normal(0.3, 0.7))

    torch.manual_seed(5)
    with pytest.warns(UserWarning, match="no analytic divergence at site 'z' .Normal from StudentT."):
        loss = AnalyticTraceEnum_ELBO(max_plate_nesting=0).loss(heavy, normal)
    torch.manual_seed(5)
    assert loss == TraceEnum_ELBO(max_plate_nesting=0).loss(heavy, normal)


def closed_form(prior: Any, evidence: Tensor) -> Any:
    if hasattr(prior, "tilted"):
        return prior.tilted(evidence)
    return dist.Bernoulli(logits=prior.logits + evidence)


CHAIN = BinaryMarkovChain(number([[-0.4, 0.9], [0.2, -1.3]]), number([[0.0, -0.6], [0.0, 1.1]]))


@pytest.mark.parametrize("prior", [dist.Bernoulli(number(0.3)).expand([2, 2]), CHAIN])
@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_a_posterior_that_waits_is_told_what_the_model_says_of_it(prior: Any, scale: float) -> None:
    """q(alpha) from a second look at the model, its value and its gradient, without that look."""
    mean = torch.linspace(-1, 1, 8, dtype=torch.float64).reshape(2, 2, 2).requires_grad_()
    weight, mask = number(0.7).requires_grad_(), torch.tensor([[True, True], [True, False]])

    def plates() -> Any:
        return pyro.plate("rows", 2, dim=-2), pyro.plate("columns", 2, dim=-1), pyro.poutine.mask(mask=mask)

    def parts(z: Tensor, alpha: Tensor) -> tuple[Any, Any]:
        return dist.Normal(torch.where(alpha == 1, weight, -weight), number(0.8)), dist.Normal(z, number(0.5))

    def model() -> None:
        rows, columns, masked = plates()
        with rows, columns, masked, pyro.poutine.scale(scale=scale):
            alpha = pyro.sample("alpha", prior)
            component, _ = parts(number(0.0), alpha)
            z = pyro.sample("z", component)
            pyro.sample("x", parts(z, alpha)[1], obs=DATA)

    def look(draw: Tensor) -> tuple[Any, Tensor]:
        looks.append(1)
        values = number([0.0, 1.0])[:, None, None]
        component, likelihood = parts(draw, values)
        divergence = torch.distributions.kl_divergence(dist.Normal(mean, number(0.6)), component)
        bound = torch.where(mask, likelihood.log_prob(DATA) - divergence, 0.0)  # the scale is alpha's as well
        return prior, bound[1] - bound[0]

    def guide(ready: bool) -> None:
        posterior = dist.Normal(mean, number(0.6))
        draw = posterior.rsample()
        waiting = DeferredBernoulli(DATA, closed_form, lambda: look(draw))
        rows, columns, masked = plates()
        q_alpha = waiting.resolved if ready else waiting
        with rows, columns, masked, pyro.poutine.scale(scale=scale):
            pyro.sample("alpha", q_alpha, infer={"enumerate": "parallel"})
            pyro.sample("z", PresampledNormal(mean, number(0.6).expand(2, 2, 2), draw))

    found = []
    for ready in (True, False):
        looks: list[int] = []
        torch.manual_seed(2)
        loss = AnalyticTraceEnum_ELBO(max_plate_nesting=2).differentiable_loss(model, lambda r=ready: guide(r))
        found.append((loss, *torch.autograd.grad(loss, [mean, weight])))
        assert len(looks) == ready
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_whoever_does_not_wait_finds_the_evidence_itself() -> None:
    asked = []

    def ask() -> tuple[Any, Tensor]:
        asked.append(1)
        return dist.Bernoulli(logits=number(0.5)), number([[1.0, -2.0]])

    waiting = DeferredBernoulli(torch.zeros(1, 2, dtype=torch.float64), closed_form, ask)
    assert asked == []
    torch.testing.assert_close(waiting.logits, number([[1.5, -1.5]]))
    torch.testing.assert_close(waiting.mean, number([[1.5, -1.5]]).sigmoid())
    assert waiting.sample((7,)).shape == (7, 1, 2)
    assert asked == [1]
    wide = DeferredBernoulli(torch.zeros(1, 2, dtype=torch.float64), closed_form, ask).expand([3, 2])
    assert wide.enumerate_support(expand=False).shape == (2, 1, 1)
    assert wide.enumerate_support().shape == (2, 3, 2)
    assert asked == [1]
    expected = torch.nn.functional.logsigmoid(number([[1.5, -1.5]])).expand(3, 2)
    torch.testing.assert_close(wide.log_prob(torch.ones(3, 2, dtype=torch.float64)), expected)
    # an ELBO that knows nothing of it asks as well
    torch.manual_seed(0)

    def waits() -> None:
        with pyro.plate("columns", 2, dim=-1), pyro.plate("rows", 1, dim=-2):
            pyro.sample("alpha", waiting, infer={"enumerate": "parallel"})

    def prior() -> None:
        with pyro.plate("columns", 2, dim=-1), pyro.plate("rows", 1, dim=-2):
            pyro.sample("alpha", dist.Bernoulli(number(0.5)))

    loss = TraceEnum_ELBO(max_plate_nesting=2).loss(prior, waits)
    entropy = dist.Bernoulli(logits=number([[1.5, -1.5]])).entropy().sum()
    assert loss == pytest.approx((2 * math.log(2) - entropy).item())
