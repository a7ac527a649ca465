"""An enumerated ELBO whose Kullback-Leibler terms are analytic."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any

import torch
from pyro import poutine
from pyro.distributions import Delta
from pyro.distributions.score_parts import ScoreParts
from pyro.distributions.util import scale_and_mask
from pyro.infer import TraceEnum_ELBO
from pyro.infer.util import is_validation_enabled
from pyro.poutine import Trace
from pyro.poutine.util import prune_subsample_sites
from pyro.util import check_model_guide_match, check_site_shape, check_traceenum_requirements
from torch import Tensor
from torch.distributions import kl_divergence

from minvae_pyro.probability.bernoulli import DeferredBernoulli
from minvae_pyro.probability.markov import conditionals, couples_frames


class AnalyticTraceEnum_ELBO(TraceEnum_ELBO):
    """``TraceEnum_ELBO`` with ``-KL(q || p)`` in place of ``log p - log q`` at reparameterised sites.

    Sampled divergences make encoder gradients noisier than the published loss, several times early in training (lesson
    4); ``TraceMeanField_ELBO`` has analytic ones and refuses discrete sites. Equation :eq:`mixture-bound`, with the
    divergence of equation :eq:`normal-divergence`. Takes every argument of :class:`pyro.infer.TraceEnum_ELBO`.

    A site takes part when its guide distribution has ``rsample`` and both distributions have a registered divergence;
    others are scored as usual. A :class:`minvae_pyro.probability.gauss_markov.MarkovNormal` takes part frame by frame,
    each divergence given the draw of the frame before; an enumerated site where its prior is a chain
    (:class:`minvae_pyro.probability.markov.BinaryMarkovChain`). A deferred posterior
    (:class:`minvae_pyro.probability.bernoulli.DeferredBernoulli`) is resolved by the scores of the model, so that the
    closed form of q(alpha) costs no second pass of the decoder. With validation on, a discrete guide site without
    ``infer={"enumerate": "parallel"}`` is an error, for it would silently train on one draw per frame.
    """

    def _get_trace(self, model: Any, guide: Any, args: Any, kwargs: Any) -> tuple[Trace, Trace]:
        guide_trace = poutine.trace(guide).get_trace(*args, **kwargs)
        model_trace = poutine.trace(poutine.replay(model, trace=guide_trace)).get_trace(*args, **kwargs)
        if is_validation_enabled():
            check_model_guide_match(model_trace, guide_trace, self.max_plate_nesting)
        model_trace, guide_trace = prune_subsample_sites(model_trace), prune_subsample_sites(guide_trace)
        # what has a score already is passed over by those who compute the rest
        _make_divergences_analytic(model_trace, guide_trace, _is_reparameterised)
        model_trace.compute_log_prob(lambda name, site: not _is_summed_over_a_chain(site, guide_trace.nodes.get(name)))
        _resolve(model_trace, guide_trace)
        guide_trace.compute_score_parts()
        _make_divergences_analytic(model_trace, guide_trace, _is_summed_over_a_chain)
        model_trace.compute_log_prob()
        if is_validation_enabled():
            for site in (*model_trace.nodes.values(), *guide_trace.nodes.values()):
                if site["type"] == "sample":
                    check_site_shape(site, self.max_plate_nesting)
            check_traceenum_requirements(model_trace, guide_trace)
            _require_enumeration(guide_trace)
        guide_trace.pack_tensors()
        model_trace.pack_tensors(guide_trace.plate_to_symbol)
        return model_trace, guide_trace


def _require_enumeration(guide_trace: Trace) -> None:
    for name, site in guide_trace.nodes.items():
        if site["type"] != "sample" or site["is_observed"]:
            continue
        if site["fn"].has_enumerate_support and not site["infer"].get("enumerate"):
            raise ValueError(
                f"the guide's discrete site '{name}' is sampled, not enumerated: "
                'add infer={"enumerate": "parallel"} to its pyro.sample statement'
            )


def _is_reparameterised(model_site: Any, guide_site: Any) -> bool:
    # a point has no divergence; its own density, of a change of variables, counts as usual
    return guide_site["fn"].has_rsample and not isinstance(guide_site["fn"], Delta)


def _is_summed_over_a_chain(model_site: Any, guide_site: Any) -> bool:
    enumerated = guide_site is not None and guide_site["type"] == "sample" and guide_site["infer"].get("enumerate")
    return bool(enumerated) and couples_frames(model_site["fn"])


def _make_divergences_analytic(model_trace: Trace, guide_trace: Trace, where: Callable[[Any, Any], bool]) -> None:
    """Put -KL(q || p) in place of the scores of sites that take part, before the traces are packed."""
    summed_in_model = _enumerated(site for name, site in model_trace.nodes.items() if name not in guide_trace)
    for name, guide_site in guide_trace.nodes.items():
        model_site = model_trace.nodes.get(name)
        if guide_site["type"] != "sample" or model_site is None or guide_site["is_observed"]:
            continue
        if not where(model_site, guide_site):
            continue
        posterior, prior = (conditionals(site["fn"], guide_site["value"]) for site in (guide_site, model_site))
        try:
            divergence = kl_divergence(posterior, prior)
        except NotImplementedError:
            warnings.warn(
                f"no analytic divergence at site '{name}' ({type(posterior).__name__} from "
                f"{type(prior).__name__}): it is estimated by sampling",
                stacklevel=2,
            )
            continue
        if any(_varies(divergence, dim) for dim in summed_in_model):
            continue  # the sum is of densities, in which a mean of their logarithms has no place
        model_site["unscaled_log_prob"] = -divergence
        model_site["log_prob"] = scale_and_mask(-divergence, model_site["scale"], model_site["mask"])
        # the guide's score enters the surrogate as well: left alone it gives a plausible, wrong loss
        zero = divergence.new_zeros(guide_site["fn"].batch_shape)
        guide_site["unscaled_log_prob"] = zero
        guide_site["log_prob"] = zero
        # where enumeration sums over the site, its probabilities stay; only what is summed becomes analytic
        weights = guide_site["score_parts"].score_function if "score_parts" in guide_site else 0
        guide_site["score_parts"] = ScoreParts(zero, weights, 0)


def _resolve(model_trace: Trace, guide_trace: Trace) -> None:
    """Resolve every deferred posterior, by the scores of the model's other sites where it is enumerated, in place."""
    enumerated = _enumerated([*model_trace.nodes.values(), *guide_trace.nodes.values()])
    for name, guide_site in guide_trace.nodes.items():
        if guide_site["type"] != "sample" or not isinstance(guide_site["fn"], DeferredBernoulli):
            continue
        model_site, dim = model_trace.nodes.get(name), guide_site["infer"].get("_enumerate_dim")
        scores = [] if model_site is None or dim is None else _scores(model_trace, name, dim)
        # where a further enumerated site has a say, the posterior knows better what to ask
        if not scores or any(_varies(score, other) for score in scores for other in enumerated - {dim}):
            guide_site["fn"] = guide_site["fn"].resolved
            continue
        shape = guide_site["fn"].batch_shape
        evidence = torch.zeros_like(guide_site["fn"].like)
        for score in scores:
            zero, one = score.unbind(dim)
            odds = (one - zero).expand(torch.broadcast_shapes(one.shape, shape))
            evidence = evidence + odds.sum_to_size(shape)
        # a scale that the divergence of alpha has as well makes no evidence stronger
        guide_site["fn"] = guide_site["fn"].resolve(model_site["fn"], evidence / model_site["scale"])


def _scores(model_trace: Trace, name: str, dim: int) -> list[Tensor]:
    """Log-probabilities of all sites but one that depend on its value, enumerated along an axis."""
    sites = (site for other, site in model_trace.nodes.items() if site["type"] == "sample" and other != name)
    return [site["log_prob"] for site in sites if _varies(site["log_prob"], dim)]


def _enumerated(sites: Iterable[Any]) -> set[int]:
    """The axes along which sites are enumerated."""
    dims = {site["infer"].get("_enumerate_dim") for site in sites if site["type"] == "sample"}
    return dims - {None}


def _varies(log_prob: Tensor, dim: int) -> bool:
    """Whether a score has the axis of an enumerated site."""
    return log_prob.dim() >= -dim and log_prob.shape[dim] > 1
