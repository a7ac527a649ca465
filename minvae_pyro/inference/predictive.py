"""Draws of the speech from the posterior predictive distribution."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from minvae_pyro.guides import UtteranceGuide
from minvae_pyro.guides.alpha_posterior import by_alpha, latent_at
from minvae_pyro.inference.admission import admit
from minvae_pyro.inference.infer import Inference


@torch.no_grad()
def draw_speech(found: Inference, draws: int, seed: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
    """Draws of the speech given the recording, each a gain and what is to be added.

    ::

        alpha, z ~ q(alpha, z)
        gain     = speech variance / (speech variance + noise variance)
        s        ~ N_c(gain * x, gain * noise variance)

    Args:
        found: what inference found.
        draws: how many.
        seed: decides them.

    Yields:
        tuple: the Wiener gain at a draw of z and alpha, (B, N, F); and the deviation of the speech from ``gain * x``,
            complex (B, N, F), at the level of the utterances; nothing deviates in cells that say nothing.
    """
    for number in range(draws):
        mixture, utterances = found.mixture, found.utterances
        on_gpu = [utterances.power.device] if utterances.power.is_cuda else []
        with torch.random.fork_rng(on_gpu):
            torch.manual_seed(seed + number)
            latent = latent_at(mixture.speech, utterances, **_draw(found.guide))
            gain = mixture.wiener_gain(latent, utterances)
            spread = (gain * mixture.noise(utterances)).sqrt() * utterances.evident
            deviation = spread * torch.randn(spread.shape, dtype=spread.dtype.to_complex(), device=spread.device)
        yield admit(gain, utterances, found.unexplained), deviation


def _draw(guide: UtteranceGuide) -> dict[str, Tensor]:
    """One draw of all latent sites, z (B, N, L) and alpha (B, N)."""
    sites = guide.draw(1)
    number = int(torch.randint(len(sites["z"]), ()))  # particles give all of theirs
    sites = {name: value[number] for name, value in sites.items()}
    if guide.alpha is None:
        return sites
    each = guide.draw_responsibility
    assert each is not None
    own = each.dim() == 3  # each particle has a q(alpha) of its own
    alpha = torch.bernoulli(each[number].detach()) if own else guide.alpha.sample()
    picked = {name: by_alpha(alpha, value) if value.dim() == 4 else value for name, value in sites.items()}
    return {**picked, "alpha": alpha}
