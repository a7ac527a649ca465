"""From a checkpoint and noisy spectra to a Wiener gain."""

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
from minvae_pyro.inference.engine import Callback, InferenceEngine
from minvae_pyro.inference.imputation import imputed
from minvae_pyro.inference.pyro_parts import make_guide
from minvae_pyro.inference.settings import ENGINES, Settings, start_named
from minvae_pyro.models import NoiseModel, NoisyMixture, reweigh, sharpen
from minvae_pyro.models.alpha_priors import audio_where_unseen
from minvae_pyro.nn.cached import CachedUtterances
from minvae_pyro.probability.handlers import in_force
from minvae_pyro.registry.build import make
from minvae_pyro.registry.names import Description
from minvae_pyro.utterances import Utterances


@dataclass(frozen=True)
class Inference:
    """What inference found.

    Attributes:
        gain: (B, N, F) posterior mean of the Wiener gain, in [0, 1].
        audio_responsibility: (B, N) q(alpha = 1) of each frame, or None for a prior without alpha.
        objective: per iteration, nats per frame; higher is better.
        mixture: the fitted model.
        guide: the fitted posterior.
    """

    gain: Tensor
    audio_responsibility: Tensor | None
    objective: list[float]
    mixture: NoisyMixture
    guide: UtteranceGuide


def infer(
    checkpoint: Checkpoint,
    utterances: Utterances,
    *,
    engine: Description | InferenceEngine | None = None,
    seed: int = 0,
    callback: Callback | None = None,
    earlier: Inference | None = None,
    dropped: int = 0,
    **settings: Any,
) -> Inference:
    """Fit posterior and noise to noisy recordings.

    q(alpha) is that of the learnt gate, where the trained guide has one, else the closed form given q(z), refreshed in
    every iteration.

    Args:
        checkpoint: prior and trained guide.
        utterances: ``spectrum`` complex (B, N, F), of waveforms scaled to unit RMS.
        engine: a name of :data:`ENGINES`, a class name or import path, a description (``class_path``, ``init_args``),
            or an engine; that of the checkpoint's settings when omitted, and ``fast`` where these name none.
        seed: decides everything random.
        callback: called after each iteration.
        earlier: the result, by the same engine and settings, for an earlier window over the recording: noise, posterior
            and (half way back to one) gain go on from there, and only new frames start.
        dropped: how many frames of that window have left it at its beginning.
        **settings: instead of the checkpoint's, see :class:`Settings`; None means the checkpoint's. A start may be any
            callable with the signature of :class:`minvae_pyro.guides.test_time.starts.Start`.

    Raises:
        UserError: no engine, start, noise model, guide or setting of that name; the message lists those there are.

    Example:
        >>> import minvae_pyro
        >>> checkpoint = minvae_pyro.load_checkpoint("a-vae")
        >>> noisy = Utterances.from_spectrum(torch.randn(1, 9, 513, dtype=torch.complex64))
        >>> found = infer(checkpoint, noisy, engine={"class_path": "FastVariational", "init_args": {"iterations": 3}})
        >>> found.gain.shape, len(found.objective), found.audio_responsibility
        (torch.Size([1, 9, 513]), 3, None)
    """
    chosen = Settings.choose(checkpoint.enhancement, {"engine": engine, **settings})
    fit = make(InferenceEngine, chosen.engine, "engine", ENGINES)  # type: ignore[type-abstract]
    start: Start = start_named(chosen.start) if isinstance(chosen.start, str) else chosen.start
    noise = make(NoiseModel, chosen.noise, "noise model")  # type: ignore[type-abstract]
    guide = make_guide(chosen.guide)
    encoders: TrainingGuide = checkpoint.guide
    with torch.random.fork_rng([utterances.power.device] if utterances.power.is_cuda else []):
        torch.manual_seed(seed)
        with torch.no_grad():
            utterances = CachedUtterances.of(imputed(checkpoint.prior, encoders, utterances))
            weighed = reweigh(checkpoint.prior, chosen.mixing_weight)
            gate = _gate_logits(checkpoint, weighed, utterances)
            logits = audio_where_unseen(
                torch.zeros_like(utterances.power[..., 0]) if gate is None else gate, utterances
            )
            logits = in_force(dist.Bernoulli(logits=logits)).logits
            prior = sharpen(weighed, chosen.temperature).condition_on(utterances)
            begin = start(prior, encoders, utterances, 1 - logits.sigmoid(), seed)
        if earlier is None:
            started = noise.start(utterances, torch.Generator().manual_seed(seed))
        else:
            started = earlier.mixture.noise.moved(utterances, dropped)
        mixture = NoisyMixture(prior, started, _loudness(utterances, chosen.gain, earlier, dropped))
        fitted = guide.start(prior, utterances, begin, encoders, None if gate is None else logits)
        fitted.update_alpha(mixture, utterances, 0.0)
        fitted = fit.posterior(fitted)
        if earlier is not None:
            fitted.warm_start(earlier.guide, dropped)
            fitted.update_alpha(mixture, utterances, 0.0)
        objective = fit(mixture, fitted, utterances, callback=callback)
        responsibility = fitted.responsibility
        gain = admit(fit.gain(mixture, fitted, utterances, chosen.draws), utterances, chosen.unexplained)
    return Inference(gain, None if responsibility is None else responsibility.detach(), objective, mixture, fitted)


@torch.no_grad()
def admit(gain: Tensor, utterances: Utterances, unexplained: float) -> Tensor:
    """Let as much of the recording through as the prior may be wrong about. Equation :eq:`admitted-gain`.

    Estimate and recording both differ from the speech: the one by what the prior cannot explain of a voice, the other
    by the noise. Weighed by their precisions they make the best of both: of a noisy recording the estimate, and where
    there is less noise than error the recording as it came.

    Args:
        gain: (B, N, F), of the prior as it is.
        utterances: the noisy batch.
        unexplained: power of the error, as a share of the speech's.
    """
    if unexplained == 0:
        return gain
    power = utterances.power * utterances.mask[..., None]
    error = unexplained * (gain.square() * power).sum((1, 2), keepdim=True)
    noise = ((1 - gain).square() * power).sum((1, 2), keepdim=True)
    share = error / (error + noise).clamp_min(torch.finfo(power.dtype).tiny)
    return gain + share * (1 - gain)


def _gate_logits(checkpoint: Checkpoint, weighed: Any, utterances: Utterances) -> Tensor | None:
    """Log-odds of alpha = 1 that the trained gate gives, moved by the change of the prior's pi; None without a gate."""
    gate = checkpoint.guide.gate_logits(utterances)
    if gate is None:
        return None
    trained: Any = checkpoint.prior
    return gate + weighed.alpha_prior(utterances).logits - trained.alpha_prior(utterances).logits


def _loudness(utterances: Utterances, per: str, earlier: Inference | None, dropped: int) -> Tensor:
    """The gain of the speech before the first step, (B, 1, 1), or (B, N, 1) per frame."""
    fresh = torch.ones_like(utterances.noisy_power[:, :1, :1] if per == "clip" else utterances.noisy_power[..., :1])
    if earlier is None:
        return fresh
    # half way back to one: what a pause has taken to nothing, multiplicative updates would not bring back
    known = earlier.mixture.gain.sqrt()
    if per == "frame":
        known = known[:, dropped:]
    return torch.cat([known, fresh[:, known.shape[1] :]], 1)
