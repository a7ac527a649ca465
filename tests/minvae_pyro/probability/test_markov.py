"""Chains against all 2^N assignments, against Pyro's own enumeration, and inside plates."""

import itertools
import math
import time
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from hypothesis import given, strategies as st
from pyro import poutine
from pyro.infer import TraceEnum_ELBO, config_enumerate, infer_discrete
from torch import Tensor
from torch.distributions import kl_divergence

from minvae_pyro.guides.alpha_posterior import alpha_posterior
from minvae_pyro.probability.markov import BinaryMarkovChain, independent_frames, scan
from minvae_pyro.utterances import Utterances

LENGTHS = [1, 2, 3, 4, 5, 7, 8]
BATCH = 3


def chain(frames: int, spread: float = 2.0) -> BinaryMarkovChain:
    return BinaryMarkovChain(*(spread * torch.randn(2, BATCH, frames, dtype=torch.float64)))


def steady(start: float, after_zero: float, after_one: float, frames: int, dtype: Any = torch.float64) -> Any:
    """A homogeneous chain of one recording from probabilities of alpha = 1."""
    zero = torch.tensor([start] + [after_zero] * (frames - 1), dtype=dtype)
    one = torch.tensor([0.5] + [after_one] * (frames - 1), dtype=dtype)
    return BinaryMarkovChain(zero.logit()[None], one.logit()[None])


def every_assignment(frames: int) -> Tensor:
    """(2^N, B, N)."""
    rows = torch.tensor(list(itertools.product([0.0, 1.0], repeat=frames)), dtype=torch.float64)
    return rows[:, None].expand(-1, BATCH, -1)


def log_joint(of: BinaryMarkovChain, rows: Tensor) -> Tensor:
    """Each assignment's log-probability, multiplied out frame by frame, (2^N, B)."""
    total = torch.zeros(rows.shape[:-1], dtype=torch.float64)
    for n in range(rows.shape[-1]):
        before = rows[..., n - 1] if n else torch.zeros_like(rows[..., 0])
        probability = torch.where(before == 1, of.after_one[:, n], of.after_zero[:, n]).sigmoid()
        total = total + torch.where(rows[..., n] == 1, probability, 1 - probability).log()
    return total


@pytest.mark.parametrize("frames", LENGTHS)
def test_running_products_keep_the_order(frames: int) -> None:
    letters = torch.arange(1, frames + 1)
    # concatenation of digits, written as (number, its size): associative and not commutative
    elements = torch.stack([letters, torch.full_like(letters, 10)])
    found = scan(elements, lambda a, b: torch.stack([a[0] * b[1] + b[0], a[1] * b[1]]))[0]
    assert found.tolist() == [int("12345678"[:n]) for n in range(1, frames + 1)]


def test_a_scan_takes_logarithmically_many_steps() -> None:
    calls = []

    def count(first: Tensor, second: Tensor) -> Tensor:
        calls.append(first.shape[-1])
        return first + second

    torch.testing.assert_close(scan(torch.ones(720), count), torch.arange(1, 721.0))
    assert len(calls) <= 2 * math.log2(720)
    assert sum(calls) < 2 * 720


@pytest.mark.parametrize("frames", LENGTHS)
def test_marginals_pairs_and_joint_are_those_of_all_assignments(frames: int) -> None:
    prior, rows = chain(frames), every_assignment(frames)
    joint = prior.log_prob(rows).sum(-1)
    torch.testing.assert_close(joint, log_joint(prior, rows))
    weights = joint.exp()
    torch.testing.assert_close(weights.sum(0), torch.ones(BATCH, dtype=torch.float64))
    torch.testing.assert_close(prior.mean, (weights[..., None] * rows).sum(0))
    torch.testing.assert_close(prior.logits, prior.mean.logit())
    weights_of_values = prior.score_parts(prior.enumerate_support(expand=False)).score_function.exp()
    torch.testing.assert_close(weights_of_values[1], prior.mean)
    torch.testing.assert_close(weights_of_values.sum(0), torch.ones_like(prior.mean))
    assert prior.pairs.shape == (2, 2, BATCH, frames - 1)
    for i, j in itertools.product(range(2), repeat=2):
        both = (rows[..., :-1] == i) & (rows[..., 1:] == j)
        torch.testing.assert_close(prior.pairs[i, j], (weights[..., None] * both).sum(0))


@pytest.mark.parametrize("frames", LENGTHS)
def test_the_posterior_after_evidence_is_bayes_rule(frames: int) -> None:
    prior, rows = chain(frames), every_assignment(frames)
    evidence = 3 * torch.randn(BATCH, frames, dtype=torch.float64)
    joint = log_joint(prior, rows) + (rows * evidence).sum(-1)
    normaliser = joint.logsumexp(0)
    posterior = prior.tilted(evidence)
    torch.testing.assert_close(posterior.log_prob(rows).sum(-1), joint - normaliser)
    torch.testing.assert_close(prior.log_normaliser(evidence), normaliser)
    torch.testing.assert_close(posterior.mean, ((joint - normaliser).exp()[..., None] * rows).sum(0))
    twice = prior.tilted(evidence / 3).tilted(2 * evidence / 3)
    torch.testing.assert_close(twice.log_prob(rows), posterior.log_prob(rows))
    several = torch.stack([evidence, -evidence])  # as many as alpha has values: no axis may be taken for another
    for found, one in zip(prior.tilted(several).mean, several, strict=True):
        torch.testing.assert_close(found, prior.tilted(one).mean)


@pytest.mark.parametrize("frames", LENGTHS)
def test_divergences_are_sums_over_all_assignments(frames: int) -> None:
    one, other, rows = chain(frames), chain(frames), every_assignment(frames)
    bernoulli = dist.Bernoulli(logits=torch.randn(BATCH, frames, dtype=torch.float64))
    for q in (one, bernoulli):
        joint = q.log_prob(rows).sum(-1)
        found = kl_divergence(q, other)
        assert found.shape == (BATCH, frames)
        assert (found >= 0).all()
        expected = (joint.exp() * (joint - other.log_prob(rows).sum(-1))).sum(0)
        torch.testing.assert_close(found.sum(-1), expected)
    torch.testing.assert_close(kl_divergence(one, one), torch.zeros_like(one.mean))


def test_evidence_and_divergence_make_the_bound_whose_best_is_the_normaliser() -> None:
    prior, evidence = chain(6), torch.randn(BATCH, 6, dtype=torch.float64)

    def bound(q: BinaryMarkovChain) -> Tensor:
        return (q.mean * evidence - kl_divergence(q, prior)).sum(-1)

    best = prior.tilted(evidence)
    torch.testing.assert_close(bound(best), prior.log_normaliser(evidence))
    for _ in range(5):
        assert (bound(chain(6)) < bound(best)).all()


def test_draws_come_as_often_as_assignments_are_likely() -> None:
    prior = BinaryMarkovChain(*(torch.randn(2, 1, 3, dtype=torch.float64)))
    count = 40000
    draws = prior.sample((count,))
    assert draws.shape == (count, 1, 3)
    rows = every_assignment(3)[:, :1]
    expected = prior.log_prob(rows).sum(-1).exp()[:, 0]
    share = torch.stack([(draws == row).all(-1).double().mean() for row in rows])
    assert ((share - expected).abs() < 4.5 * (expected * (1 - expected) / count).sqrt()).all()


def test_gradients_are_those_of_finite_differences() -> None:
    weights = torch.randn(2, 2, 4, dtype=torch.float64)

    def functions(zero: Tensor, one: Tensor, evidence: Tensor) -> tuple[Tensor, ...]:
        prior = BinaryMarkovChain(zero, one)
        posterior = prior.tilted(evidence)
        divergence = kl_divergence(posterior, prior)
        pairs = posterior.pairs * weights[..., None, :]
        return posterior.log_marginals, prior.log_normaliser(evidence), divergence, pairs.sum()

    arguments = [torch.randn(2, 5, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    assert torch.autograd.gradcheck(functions, arguments)


def test_the_normaliser_has_the_posterior_for_its_gradient() -> None:
    prior = chain(5)
    evidence = torch.randn(BATCH, 5, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(prior.log_normaliser(evidence).sum(), evidence)
    torch.testing.assert_close(gradient, prior.tilted(evidence.detach()).mean)


MEANS = torch.tensor([-0.7, 1.1], dtype=torch.float64)
DATA = torch.tensor([0.9, 1.4, -1.0, 0.1, -2.0], dtype=torch.float64)


def hidden_markov() -> None:
    """The chain of ``steady(0.3, 0.2, 0.85)`` as Pyro writes it, with normal emissions."""
    state: Any = None
    for n in pyro.markov(range(len(DATA))):
        probability = torch.tensor([0.2, 0.85], dtype=torch.float64)
        odds = torch.tensor(0.3, dtype=torch.float64) if state is None else probability[state.long()]
        state = pyro.sample(f"alpha_{n}", dist.Bernoulli(odds), infer={"enumerate": "parallel"})
        pyro.sample(f"x_{n}", dist.Normal(MEANS[state.long()], 1.0), obs=DATA[n])


def emissions() -> Tensor:
    """Log-likelihood of the data under alpha = 0 and alpha = 1, (2, N)."""
    return dist.Normal(MEANS[:, None], 1.0).log_prob(DATA)


def test_marginals_and_evidence_are_those_that_pyro_enumerates() -> None:
    zero, one = emissions()
    prior, evidence = steady(0.3, 0.2, 0.85, len(DATA)), (one - zero)[None]
    elbo = TraceEnum_ELBO(max_plate_nesting=0)
    marginals = elbo.compute_marginals(hidden_markov, lambda: None)
    expected = torch.stack([marginals[f"alpha_{n}"].probs for n in range(len(DATA))])
    torch.testing.assert_close(prior.tilted(evidence).mean[0], expected)
    total = prior.log_normaliser(evidence) + zero.sum()
    assert total.item() == pytest.approx(-elbo.loss(hidden_markov, lambda: None))


def test_the_most_probable_assignment_is_the_one_that_pyro_finds() -> None:
    zero, one = emissions()
    posterior = steady(0.3, 0.2, 0.85, len(DATA)).tilted((one - zero)[None])
    rows = every_assignment(len(DATA))[:, :1]
    best = rows[posterior.log_prob(rows).sum(-1).argmax()][0]
    decoded = infer_discrete(config_enumerate(hidden_markov), first_available_dim=-1, temperature=0)
    nodes = poutine.trace(decoded).get_trace().nodes
    assert best.tolist() == [nodes[f"alpha_{n}"]["value"].item() for n in range(len(DATA))]


@given(
    stay=st.floats(1e-13, 1 - 1e-13),
    strength=st.floats(0, 5000),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_no_evidence_is_too_strong_and_no_chain_too_sure(stay: float, strength: float, dtype: Any) -> None:
    evidence = (strength * torch.randn(1, 97, dtype=torch.float64)).requires_grad_()
    prior = steady(0.5, 1 - stay, stay, 97)
    exact = prior.tilted(evidence)
    rounded = evidence.to(dtype)
    found = BinaryMarkovChain(prior.after_zero.to(dtype), prior.after_one.to(dtype)).tilted(rounded)
    torch.testing.assert_close(found.mean.double(), exact.mean, rtol=0, atol=1e-6 if dtype is torch.float64 else 0.02)
    assert found.log_marginals.isfinite().all()
    assert kl_divergence(found, prior).isfinite().all()
    (gradient,) = torch.autograd.grad(found.mean.sum() + kl_divergence(found, prior).sum(), evidence)
    assert gradient.isfinite().all()


def test_frames_that_do_not_look_back_are_frames_by_themselves() -> None:
    logits, evidence = torch.randn(2, BATCH, 6, dtype=torch.float64)
    apart, together = dist.Bernoulli(logits=logits), independent_frames(logits)
    torch.testing.assert_close(together.mean, apart.probs)
    seen = Utterances.from_spectrum(torch.ones(BATCH, 6, 1), torch.zeros(BATCH, 6, 67, 67))
    tilted = alpha_posterior(apart, evidence, seen)
    torch.testing.assert_close(alpha_posterior(together, evidence, seen).mean, tilted.mean)
    torch.testing.assert_close(tilted.logits, logits + evidence)
    other = dist.Bernoulli(logits=torch.randn(BATCH, 6, dtype=torch.float64))
    expected = kl_divergence(other, apart)
    torch.testing.assert_close(kl_divergence(other, together), expected)
    torch.testing.assert_close(kl_divergence(independent_frames(other.logits), together), expected)


def test_nothing_behind_a_frame_that_does_not_look_back_reaches_those_before_it() -> None:
    whole, evidence = chain(7), torch.randn(BATCH, 7, dtype=torch.float64)
    whole.after_one[:, 4:] = whole.after_zero[:, 4:]
    short = BinaryMarkovChain(whole.after_zero[:, :4], whole.after_one[:, :4])
    expected = short.tilted(evidence[:, :4])
    for padding in (0.0, 700.0):
        behind = torch.cat([evidence[:, :4], torch.full((BATCH, 3), padding, dtype=torch.float64)], -1)
        found = whole.tilted(behind)
        torch.testing.assert_close(found.mean[:, :4], expected.mean)
        torch.testing.assert_close(kl_divergence(found, whole)[:, :4], kl_divergence(expected, short))


def test_a_sure_chain_knows_every_frame() -> None:
    sure = torch.full((BATCH, 9), 30.0, dtype=torch.float64)
    ones, zeros = BinaryMarkovChain(sure, sure), BinaryMarkovChain(-sure, sure)
    torch.testing.assert_close(ones.mean, torch.ones_like(sure))
    torch.testing.assert_close(zeros.mean, torch.zeros_like(sure))


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_a_plate_over_frames_takes_a_chain(frames: int) -> None:
    prior = chain(frames)

    def model() -> Tensor:
        with pyro.plate("utterances", BATCH, dim=-2), pyro.plate("frames", frames, dim=-1):
            alpha = pyro.sample("alpha", prior, infer={"enumerate": "parallel"})
            pyro.sample("x", dist.Normal(alpha, 1.0), obs=torch.zeros(BATCH, frames, dtype=torch.float64))
            return alpha

    for dim in (-3, -5):
        enumerated = poutine.trace(poutine.enum(model, first_available_dim=dim)).get_trace()
        enumerated.compute_score_parts()
        node = enumerated.nodes["alpha"]
        assert node["value"].shape == (2, *[1] * (-dim - 1))
        assert node["value"].dtype == torch.float64
        torch.testing.assert_close(node["score_parts"].score_function.squeeze(), prior.log_marginals.squeeze())
    drawn = poutine.trace(model).get_trace()
    drawn.compute_log_prob()
    alpha = drawn.nodes["alpha"]["value"]
    assert alpha.shape == (BATCH, frames)
    torch.testing.assert_close(drawn.nodes["alpha"]["log_prob"], prior.log_prob(alpha))


def test_who_would_sum_out_the_frames_one_by_one_is_told() -> None:
    """Marginals alone would give a bound, or a posterior, that is plausible and wrong."""
    prior = chain(3)

    def model() -> None:
        with pyro.plate("utterances", BATCH, dim=-2), pyro.plate("frames", 3, dim=-1):
            alpha = pyro.sample("alpha", prior, infer={"enumerate": "parallel"})
            pyro.sample("x", dist.Normal(alpha, 1.0), obs=torch.zeros(BATCH, 3, dtype=torch.float64))

    with pytest.raises(NotImplementedError, match="use AnalyticTraceEnum_ELBO"):
        TraceEnum_ELBO(max_plate_nesting=2).loss(model, lambda: None)
    with pytest.raises(NotImplementedError, match="use AnalyticTraceEnum_ELBO"):
        infer_discrete(model, first_available_dim=-3)()
    with pytest.raises(NotImplementedError, match="one by one"):
        prior.enumerate_support()


def test_a_value_that_is_not_binary_is_refused() -> None:
    with pytest.raises(ValueError, match="support"):
        chain(4).log_prob(torch.full((BATCH, 4), 0.5, dtype=torch.float64))


def test_chains_are_repeated_before_their_frames_only() -> None:
    prior = chain(4)
    wide = prior.expand((2, BATCH, 4))
    assert isinstance(wide, BinaryMarkovChain)
    assert wide.sample().shape == (2, BATCH, 4)
    torch.testing.assert_close(wide.mean[1], prior.mean)
    assert wide.enumerate_support(expand=False).shape == (2, 1, 1, 1)
    with pytest.raises(ValueError, match="cannot be expanded"):
        prior.expand((BATCH, 8))


def test_what_cannot_be_is_not_drawn() -> None:
    impossible = torch.full((1, 3), -1e3, dtype=torch.float64)
    assert not BinaryMarkovChain(impossible, impossible).states(torch.zeros(1, 3, dtype=torch.float64)).any()


def test_long_chains_keep_their_digits() -> None:
    """Against the recursions of the textbook, each frame normalised by itself, in double precision."""
    frames, stay = 3000, 0.9
    evidence = 20 * torch.randn(frames, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    odds = evidence.float().double()
    weight = torch.stack([torch.zeros_like(odds), odds]).softmax(0).T.numpy()
    transition = np.array([[stay, 1 - stay], [1 - stay, stay]])
    forward, backward = np.empty((frames, 2)), np.ones((frames, 2))
    forward[0] = 0.5 * weight[0]
    for n in range(1, frames):
        forward[n] = forward[n - 1] / forward[n - 1].sum() @ transition * weight[n]
    for n in range(frames - 2, -1, -1):
        backward[n] = transition @ (weight[n + 1] * backward[n + 1])
        backward[n] /= backward[n].sum()
    both = forward * backward
    found = steady(0.5, 1 - stay, stay, frames, torch.float32).tilted(evidence.float()).mean[0]
    np.testing.assert_allclose(found.numpy(), both[:, 1] / both.sum(1), rtol=0, atol=1e-4)


def test_long_chains_are_quick() -> None:
    prior = steady(0.5, 0.05, 0.95, 720, torch.float32).expand((12, 720))
    evidence = 10 * torch.randn(12, 720)
    best = math.inf
    for _ in range(5):
        begin = time.process_time()
        kl_divergence(prior.tilted(evidence), prior)
        best = min(best, time.process_time() - begin)
    # 2 ms where it was written; a loop over frames takes a hundred times as long
    assert best < 0.02
