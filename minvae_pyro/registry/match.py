"""Whether a prior and a guide sample the same sites, seen before anything is trained."""

from __future__ import annotations

from typing import Any

import torch
from pyro import poutine
from pyro.poutine.util import site_is_subsample

from minvae_pyro.errors import UserError
from minvae_pyro.guides.base import TrainingGuide
from minvae_pyro.models import SpeechPrior
from minvae_pyro.probability.parameters import local_parameters
from minvae_pyro.registry.build import guides_for
from minvae_pyro.utterances import Utterances


def check_sites(prior: SpeechPrior, guide: TrainingGuide, utterances: Utterances) -> None:
    """Refuse a guide that does not sample what the prior samples; both are run once.

    Args:
        prior: the prior.
        guide: the guide.
        utterances: clean speech, a frame is enough.

    Raises:
        UserError: a site that one of them lacks, or that differs in size.
    """
    names = type(prior).__name__, type(guide).__name__
    training = prior.training, guide.training
    prior.eval()
    guide.eval()
    # nothing of the run remains: no number drawn, no statistic of a batch, no parameter in Pyro's store
    with torch.no_grad(), torch.random.fork_rng([]), local_parameters(prior, guide):
        given, asked = _sites(guide, utterances), _sites(prior, utterances)
    prior.train(training[0])
    guide.train(training[1])
    for has, lacks, extra in ((*names, asked.keys() - given.keys()), (*names[::-1], given.keys() - asked.keys())):
        if extra:
            choice = guides_for(type(prior), besides=type(guide))
            raise UserError(f"{has} samples {', '.join(sorted(extra))}, which {lacks} does not. {choice}")
    for site, size in asked.items():
        if given[site] != size:
            raise UserError(
                f"{site} has {size} dimensions in {names[0]} and {given[site]} in {names[1]}: give both the same "
                "latent_dim."
            )


def _sites(model: SpeechPrior | TrainingGuide, utterances: Utterances) -> dict[str, int]:
    """Number of dimensions of each site that is sampled."""
    trace: Any = poutine.trace(model).get_trace(utterances)
    return {
        name: site["fn"].event_shape.numel()
        for name, site in trace.nodes.items()
        if site["type"] == "sample" and not site["is_observed"] and not site_is_subsample(site)
    }
