"""Binary Markov chains, and what distributions over frames that depend on each other have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from pyro.distributions import Bernoulli, TorchDistribution
from pyro.distributions.score_parts import ScoreParts
from torch import Tensor
from torch.distributions import constraints
from torch.distributions.kl import register_kl
from torch.distributions.utils import lazy_property
from torch.nn.functional import logsigmoid, pad, softplus


class BinaryMarkovChain(TorchDistribution):
    """alpha_1, ..., alpha_N in {0, 1}, each depending on the one before; the frame before the first counts as 0.

    ::

        for n in frames:
            alpha[n] | alpha[n - 1] = 0 ~ Bernoulli(sigmoid(after_zero[n]))
            alpha[n] | alpha[n - 1] = 1 ~ Bernoulli(sigmoid(after_one[n]))

    Frames are a batch axis, so that a chain lives in a plate over frames: ``log_prob`` of a whole assignment (..., N)
    is ``log p(alpha_n | alpha_{n-1})``, whose sum is the joint. As a posterior a chain is enumerated frame by frame,
    weighed by its marginals (:meth:`score_parts`); enumerated values have no ``log_prob``, for the joint is no sum over
    them. Where both log-odds are alike, a frame is independent of the one before, which keeps padding out. Evidence per
    frame tilts a chain (:meth:`tilted`).

    Args:
        after_zero: log-odds of alpha_n = 1 given alpha_{n-1} = 0, (..., N).
        after_one: the same given alpha_{n-1} = 1; the first frame's is not read.
        validate_args: as in every torch distribution.

    Example:
        >>> stay = torch.tensor(0.9).logit().expand(4)
        >>> chain = BinaryMarkovChain(-stay, stay)
        >>> chain.mean
        tensor([0.1000, 0.1800, 0.2440, 0.2952])
        >>> chain.log_prob(torch.tensor([0.0, 0.0, 1.0, 1.0])).exp()
        tensor([0.9000, 0.9000, 0.1000, 0.9000])
    """

    arg_constraints: ClassVar[dict[str, Any]] = {"after_zero": constraints.real, "after_one": constraints.real}
    support = constraints.boolean
    has_enumerate_support = True
    couples_frames = True

    def __init__(self, after_zero: Tensor, after_one: Tensor, validate_args: bool | None = None) -> None:
        self.after_zero, self.after_one = torch.broadcast_tensors(after_zero, after_one)
        super().__init__(self.after_zero.shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> BinaryMarkovChain:
        """Repeat the chain along axes before the frames.

        Raises:
            ValueError: the number of frames would change; copies of a frame are no chain.
        """
        if tuple(batch_shape[-1:]) != self.batch_shape[-1:]:
            raise ValueError(f"a chain of shape {tuple(self.batch_shape)} cannot be expanded to {tuple(batch_shape)}")
        after_zero, after_one = (logits.expand(batch_shape) for logits in (self.after_zero, self.after_one))
        return BinaryMarkovChain(after_zero, after_one, self._validate_args)

    @lazy_property
    def log_transitions(self) -> Tensor:
        """``log p(alpha_n = j | alpha_{n-1} = i)``, (2, 2, ..., N), i before j."""
        logits = torch.stack([self.after_zero, self.after_one])
        return torch.stack([logsigmoid(-logits), logsigmoid(logits)], 1)

    @lazy_property
    def log_marginals(self) -> Tensor:
        """``log p(alpha_n = i)``, (2, ..., N)."""
        return scan(self.log_transitions, _log_product)[0]

    @property
    def mean(self) -> Tensor:
        """p(alpha_n = 1), (..., N)."""
        return self.log_marginals[1].exp()

    @property
    def logits(self) -> Tensor:
        """Log-odds of alpha_n = 1 for each frame by itself, (..., N)."""
        return self.log_marginals[1] - self.log_marginals[0]

    @property
    def pairs(self) -> Tensor:
        """``p(alpha_n = i, alpha_{n+1} = j)``, (2, 2, ..., N - 1)."""
        return (self.log_marginals[:, None, ..., :-1] + self.log_transitions[..., 1:]).exp()

    def log_prob(self, value: Tensor) -> Tensor:
        """Of a whole assignment (..., N), each frame given the one before.

        Raises:
            NotImplementedError: the values are those of an enumeration.
        """
        if self._validate_args:
            self._validate_sample(value)
        if self._enumerates(value):
            raise NotImplementedError(
                "the frames of a Markov chain depend on each other and cannot be summed out one by one: use "
                "AnalyticTraceEnum_ELBO, which knows chains, or draw alpha."
            )
        before = pad(value[..., :-1], (1, 0))
        logits = torch.where(before == 1, self.after_one, self.after_zero)
        return logsigmoid(torch.where(value == 1, logits, -logits))

    def score_parts(self, value: Tensor, *args: Any, **kwargs: Any) -> ScoreParts:
        """Of enumerated values the marginal of each frame: what an ELBO weighs its terms by."""
        if not self._enumerates(value):
            return super().score_parts(value, *args, **kwargs)
        marginal = torch.where(value == 1, self.log_marginals[1], self.log_marginals[0])
        return ScoreParts(marginal, marginal, 0)

    def _enumerates(self, value: Tensor) -> bool:
        return value.shape[-1:] != self.batch_shape[-1:]

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Exact draws, sample_shape + (..., N)."""
        shape = self._extended_shape(sample_shape)
        return self.states(torch.rand(shape, dtype=self.after_zero.dtype, device=self.after_zero.device))

    def states(self, uniform: Tensor) -> Tensor:
        """The draw that follows from uniform numbers, (..., N), broadcasting with the chain.

        A uniform number makes each frame a map from {0, 1} to {0, 1}; maps compose in any grouping.
        """
        maps = torch.stack([uniform < self.after_zero.sigmoid(), uniform < self.after_one.sigmoid()])
        states = scan(maps, lambda first, second: torch.where(first, second[1], second[0]))[0]
        return states.to(uniform.dtype)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """Zero and one, (2, 1, ..., 1).

        Raises:
            NotImplementedError: they would be expanded, and be two assignments of all frames.
        """
        if expand:
            raise NotImplementedError("the frames of a Markov chain are enumerated one by one: leave out expand=True.")
        return Bernoulli(logits=self.after_zero).enumerate_support(expand)

    def tilted(self, evidence: Tensor) -> BinaryMarkovChain:
        """The posterior chain, ``q(alpha) = p(alpha) exp(sum_n alpha_n evidence_n) / Z`` (equation :eq:`tilted-chain`).

        Args:
            evidence: log-likelihood of alpha_n = 1 against alpha_n = 0, (..., N), broadcasting with the chain.

        Example:
            >>> chain = independent_frames(torch.zeros(3))
            >>> chain.tilted(torch.tensor([0.0, 2.0, -2.0])).mean
            tensor([0.5000, 0.8808, 0.1192])
        """
        evidence = evidence.expand(torch.broadcast_shapes(evidence.shape, self.batch_shape))
        transitions = self.expand(evidence.shape).log_transitions
        zero, one = transitions[:, 0], transitions[:, 1] + evidence
        onwards = scan(torch.stack([zero, one], 1).flip(-1), _log_product_backwards).flip(-1)
        # what a frame and all behind it say of the frame before: log-odds of alpha_{n-1} = 1
        message = onwards.logsumexp(1)
        message = message[1] - message[0]
        tilt = evidence + pad(message[..., 1:], (0, 1))
        return BinaryMarkovChain(self.after_zero + tilt, self.after_one + tilt)

    def averaged(self) -> BinaryMarkovChain:
        """The chain nearest to the mean over the first axis: with its pairs of neighbours, and so its transitions."""
        before, after = self.log_marginals[:, None, ..., :-1], self.log_transitions[..., 1:]
        pairs = (before + after).logsumexp(2)  # (2, 2, ..., N - 1)
        first = mean_log_odds(self.logits[..., :1])
        zero, one = (torch.cat([first, row[1] - row[0]], -1) for row in pairs)
        return BinaryMarkovChain(zero, one)

    def log_normaliser(self, evidence: Tensor) -> Tensor:
        """``log Z`` of :meth:`tilted`, (...), by the assignment of all zeros, whose evidence, (..., N), is nothing."""
        return (softplus(self.tilted(evidence).after_zero) - softplus(self.after_zero)).sum(-1)


def independent_frames(logits: Tensor) -> BinaryMarkovChain:
    """The chain of independent frames with log-odds ``logits`` of alpha_n = 1, (..., N)."""
    return BinaryMarkovChain(logits, logits)


def mean_log_odds(logits: Tensor) -> Tensor:
    """Log-odds of the mean probability over the first axis, from log-odds (S, ...)."""
    return logsigmoid(logits).logsumexp(0) - logsigmoid(-logits).logsumexp(0)


def scan(elements: Tensor, combine: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Running products, (..., N), along the last axis in O(log N) calls and O(N) work (Blelloch, 1990).

    Args:
        elements: (..., N).
        combine: an associative operation on slices, the earlier one first.

    Example:
        >>> scan(torch.tensor([1, 2, 3, 4]), lambda first, second: first + second)
        tensor([ 1,  3,  6, 10])
    """
    count = elements.shape[-1]
    if count == 1:
        return elements
    odd = scan(combine(elements[..., : count - 1 : 2], elements[..., 1::2]), combine)
    even = combine(odd[..., : (count - 1) // 2], elements[..., 2::2])
    even = torch.cat([elements[..., :1], even], -1)
    woven = torch.stack([even[..., : count // 2], odd], -1).flatten(-2)
    return torch.cat([woven, even[..., count // 2 :]], -1)


def _log_product(first: Tensor, second: Tensor) -> Tensor:
    """Product of matrices (2, 2, ..., N) given by their logarithms."""
    return torch.logaddexp(first[:, :1] + second[None, 0], first[:, 1:] + second[None, 1])


def _log_product_backwards(later: Tensor, earlier: Tensor) -> Tensor:
    """The same, met from behind and up to a factor: evidence of many frames would eat the digits of the sum."""
    product = _log_product(earlier, later)
    return product - product.detach().amax((0, 1))


def _divergence(q: Tensor, p: Tensor) -> Tensor:
    """KL between Bernoulli distributions given by their log-odds."""
    return q.sigmoid() * (logsigmoid(q) - logsigmoid(p)) + (-q).sigmoid() * (logsigmoid(-q) - logsigmoid(-p))


@register_kl(BinaryMarkovChain, BinaryMarkovChain)
def _kl_chain_chain(q: BinaryMarkovChain, p: BinaryMarkovChain) -> Tensor:
    """``E_q KL(q(alpha_n | alpha_{n-1}) || p(alpha_n | alpha_{n-1}))``, (..., N); the sum is the KL of the chains."""
    before = pad(q.mean[..., :-1], (1, 0))
    zero, one = _divergence(q.after_zero, p.after_zero), _divergence(q.after_one, p.after_one)
    return (1 - before) * zero + before * one


@register_kl(torch.distributions.Bernoulli, BinaryMarkovChain)
def _kl_bernoulli_chain(q: torch.distributions.Bernoulli, p: BinaryMarkovChain) -> Tensor:
    return _kl_chain_chain(independent_frames(q.logits), p)


def conditionals(distribution: Any, value: Tensor) -> Any:
    """The factors at a draw, each frame given the one before, of a distribution with ``conditionals``; else itself."""
    return distribution.conditionals(value) if hasattr(distribution, "conditionals") else distribution


def couples_frames(distribution: Any) -> bool:
    """Whether a distribution over frames is a chain, whose probabilities do not factorise over enumerated values."""
    return getattr(distribution, "couples_frames", False)
