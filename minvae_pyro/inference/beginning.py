"""Where inference begins: mixture and posterior of a recording, before the first step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor

from minvae_pyro.checkpoints.checkpoint import Checkpoint
from minvae_pyro.guides import UtteranceGuide
from minvae_pyro.guides.base import TrainingGuide
from minvae_pyro.guides.test_time.starts import Start
from minvae_pyro.inference.imputation import imputed
from minvae_pyro.inference.pyro_parts import make_guide
from minvae_pyro.inference.settings import Settings, start_named
from minvae_pyro.models import NoiseModel, NoisyMixture, reweigh, sharpen
from minvae_pyro.models.alpha_priors import audio_where_unseen
from minvae_pyro.nn.cached import CachedUtterances
from minvae_pyro.probability.handlers import in_force
from minvae_pyro.registry.build import make
from minvae_pyro.utterances import Utterances


@dataclass(frozen=True)
class Beginning:
    """Mixture and posterior of a recording.

    Attributes:
        mixture: the model, its noise and gain at the level of the recording.
        guide: the posterior: z where the encoders see it, q(alpha) by the gate or in closed form.
        utterances: the recording, with expected values in cells that say nothing.
    """

    mixture: NoisyMixture
    guide: UtteranceGuide
    utterances: Utterances


def begin(
    checkpoint: Checkpoint,
    utterances: Utterances,
    chosen: Settings,
    seed: int,
    earlier: Beginning | None = None,
    dropped: int = 0,
) -> Beginning:
    """Start noise, gain and posterior; draws random numbers.

    Args:
        checkpoint: prior and trained guide.
        utterances: ``spectrum`` complex (B, N, F), of waveforms scaled to unit RMS.
        chosen: noise, guide, start and so on.
        seed: of the noise, and of a start that draws.
        earlier: of an earlier window over the recording, whose noise and gain go on; its posterior does not yet.
        dropped: how many frames of that window have left it at its beginning.
    """
    start: Start = start_named(chosen.start) if isinstance(chosen.start, str) else chosen.start
    noise = make(NoiseModel, chosen.noise, "noise model")  # type: ignore[type-abstract]
    guide = make_guide(chosen.guide)
    encoders: TrainingGuide = checkpoint.guide
    with torch.no_grad():
        utterances = CachedUtterances.of(imputed(checkpoint.prior, encoders, utterances))
        if chosen.independent < 1:
            share = utterances.noisy_power.new_full((len(utterances), 1), chosen.independent)
            utterances = utterances.replace(independent=share)
        weighed = reweigh(checkpoint.prior, chosen.mixing_weight)
        gate = _gate_logits(checkpoint, weighed, utterances)
        logits = audio_where_unseen(torch.zeros_like(utterances.power[..., 0]) if gate is None else gate, utterances)
        logits = in_force(dist.Bernoulli(logits=logits)).logits
        prior = sharpen(weighed, chosen.temperature).condition_on(utterances)
        place = start(prior, encoders, utterances, 1 - logits.sigmoid(), seed)
    if earlier is None:
        started = noise.start(utterances, torch.Generator().manual_seed(seed))
    else:
        started = earlier.mixture.noise.moved(utterances, dropped)
    mixture = NoisyMixture(prior, started, _loudness(utterances, chosen.gain, earlier, dropped))
    fitted = guide.start(prior, utterances, place, encoders, None if gate is None else logits)
    fitted.update_alpha(mixture, utterances, 0.0)
    return Beginning(mixture, fitted, utterances)


def _gate_logits(checkpoint: Checkpoint, weighed: Any, utterances: Utterances) -> Tensor | None:
    """Log-odds of alpha = 1 that the trained gate gives, moved by the change of the prior's pi; None without a gate."""
    gate = checkpoint.guide.gate_logits(utterances)
    if gate is None:
        return None
    trained: Any = checkpoint.prior
    return familiar(gate + weighed.alpha_prior(utterances).logits - trained.alpha_prior(utterances).logits, utterances)


FAMILIAR = 0.3
"""Mean trust in the mouth of a recording from which on its frames are taken at their word."""


def familiar(logits: Tensor, utterances: Utterances) -> Tensor:
    """Trust single frames less where the recording as a whole earns little trust. Equation :eq:`familiar-mouth`.

    A gate is surer of some frames of a stranger than their mouth is worth: of a face that it takes for foreign it is
    right nowhere.

    Args:
        logits: log-odds of alpha = 1 by the gate, (B, N).
        utterances: the noisy batch.
    """
    trust = (-logits).sigmoid()
    seen = (utterances.mouth_seen & utterances.mask).to(trust.dtype)
    mean = (trust * seen).sum(-1, keepdim=True) / seen.sum(-1, keepdim=True).clamp_min(1)
    share = (mean / FAMILIAR).clamp(max=1)
    # where all is trusted the log-odds stay as they are, to the bit
    lowered = -torch.logit((trust * share).clamp(min=torch.finfo(trust.dtype).tiny))
    return torch.where(share < 1, lowered, logits)


def _loudness(utterances: Utterances, per: str, earlier: Beginning | None, dropped: int) -> Tensor:
    """The gain of the speech before the first step, (B, 1, 1), or (B, N, 1) per frame."""
    fresh = torch.ones_like(utterances.noisy_power[:, :1, :1] if per == "clip" else utterances.noisy_power[..., :1])
    if earlier is None:
        return fresh
    # half way back to one: what a pause has taken to nothing, multiplicative updates would not bring back
    known = earlier.mixture.gain.sqrt()
    if per == "frame":
        known = known[:, dropped:]
    return torch.cat([known, fresh[:, known.shape[1] :]], 1)
