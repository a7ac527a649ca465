"""Draws of the posterior as the engines use them: codes, and how probable each is."""

from __future__ import annotations

import torch
from torch import Tensor

from minvae_pyro.guides import UtteranceGuide
from minvae_pyro.guides.branches import both_alphas, code_at
from minvae_pyro.guides.utterance import with_branches
from minvae_pyro.models import SpeechPrior
from minvae_pyro.utterances import Utterances


@torch.no_grad()
def draw_codes(
    prior: SpeechPrior, guide: UtteranceGuide, utterances: Utterances, samples: int
) -> tuple[Tensor, Tensor | None]:
    """Codes at draws of the continuous sites; alpha is summed over, not drawn.

    Args:
        prior: says what code follows from the sites.
        guide: the posterior.
        utterances: the noisy batch.
        samples: S, draws of the continuous sites.

    Returns:
        tuple: codes (S, B, N, C) and None when alpha has no say in them; otherwise codes (2 S, B, N, C) and their
        probabilities (2 S, B, N), which sum to one over the first axis.
    """
    sites = guide.draw(samples)
    responsibility = guide.draw_responsibility
    if responsibility is None:
        return code_at(prior, utterances, **sites), None
    sites = {name: with_branches(value) for name, value in sites.items()}
    code = code_at(prior, utterances, **sites, alpha=both_alphas(responsibility))
    if code.shape[1] == 1:
        return code[:, 0], None
    weight = torch.stack([1 - responsibility, responsibility], -3) / len(code)
    return code.flatten(0, 1), weight.expand(code.shape[:-1]).flatten(0, 1)


def expectation(values: Tensor, weight: Tensor | None) -> Tensor:
    """Mean of (S, B, N, F) over the draws, weighted by (S, B, N), or plain."""
    return values.mean(0) if weight is None else (weight[..., None] * values).sum(0)
