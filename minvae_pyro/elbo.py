"""An enumerated ELBO whose Kullback-Leibler terms are analytic.

``TraceEnum_ELBO`` enumerates the mixture variable exactly but scores the divergence of every continuous site
by sampling, which makes encoder gradients several times noisier than the published loss.
``TraceMeanField_ELBO`` has the analytic divergence and refuses discrete sites. This one does both.
"""

from __future__ import annotations

import warnings
from typing import Any

from pyro.distributions.util import scale_and_mask
from pyro.infer import TraceEnum_ELBO
from pyro.infer.enum import get_importance_trace
from pyro.infer.util import is_validation_enabled
from pyro.poutine import Trace
from pyro.util import check_traceenum_requirements
from torch.distributions import kl_divergence

from minvae_pyro.distributions import unrolled


class AnalyticTraceEnum_ELBO(TraceEnum_ELBO):
    """``TraceEnum_ELBO`` with ``-KL(q || p)`` in place of ``log p - log q`` at reparameterised sites.

    Takes every argument of :class:`pyro.infer.TraceEnum_ELBO`. A site takes part when its guide distribution
    has ``rsample``, and guide and model distribution have a registered divergence; others are scored as usual. A site
    whose frames follow from one another (it has ``unrolled``, see :class:`minvae_pyro.dynamics.MarkovNormal`) takes
    part frame by frame, each divergence given the draw of the frame before. An enumerated site takes part where its
    prior is a chain (``couples_frames``, see :class:`minvae_pyro.chains.BinaryMarkovChain`).
    With validation on, forgetting ``infer={"enumerate": "parallel"}`` on a discrete guide site is an error
    here, for it would silently train on one draw per frame.
    """

    def _get_trace(self, model: Any, guide: Any, args: Any, kwargs: Any) -> tuple[Trace, Trace]:
        model_trace, guide_trace = get_importance_trace("flat", self.max_plate_nesting, model, guide, args, kwargs)
        if is_validation_enabled():
            check_traceenum_requirements(model_trace, guide_trace)
            _require_enumeration(guide_trace)
        _make_divergences_analytic(model_trace, guide_trace)
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


def _make_divergences_analytic(model_trace: Trace, guide_trace: Trace) -> None:
    """Replace sampled scores by -KL(q || p), in place, before the traces are packed."""
    for name, guide_site in guide_trace.nodes.items():
        model_site = model_trace.nodes.get(name)
        if guide_site["type"] != "sample" or model_site is None or guide_site["is_observed"]:
            continue
        # where enumeration sums over the site, its probabilities stay; only what is summed becomes analytic
        enumerated = bool(guide_site["infer"].get("enumerate"))
        if not (guide_site["fn"].has_rsample or (enumerated and couples_frames(model_site["fn"]))):
            continue
        posterior, prior = (unrolled(site["fn"], guide_site["value"]) for site in (guide_site, model_site))
        try:
            divergence = kl_divergence(posterior, prior)
        except NotImplementedError:
            warnings.warn(
                f"no analytic divergence at site '{name}' ({type(posterior).__name__} from "
                f"{type(prior).__name__}): it is estimated by sampling",
                stacklevel=2,
            )
            continue
        model_site["unscaled_log_prob"] = -divergence
        model_site["log_prob"] = scale_and_mask(-divergence, model_site["scale"], model_site["mask"])
        # the guide's score enters the surrogate as well: left alone it gives a plausible, wrong loss
        zero = guide_site["log_prob"].new_zeros(guide_site["log_prob"].shape)
        guide_site["unscaled_log_prob"] = zero
        guide_site["log_prob"] = zero
        parts = guide_site["score_parts"]
        guide_site["score_parts"] = type(parts)(zero, parts.score_function if enumerated else 0, 0)


def couples_frames(distribution: Any) -> bool:
    """Whether a distribution over frames is a chain, whose probabilities do not factorise over enumerated values."""
    return getattr(distribution, "couples_frames", False)
