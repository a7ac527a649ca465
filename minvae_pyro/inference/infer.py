"""From a checkpoint and noisy spectra to a Wiener gain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from minvae_pyro.checkpoints.checkpoint import Checkpoint
from minvae_pyro.guides import UtteranceGuide
from minvae_pyro.inference.admission import admit
from minvae_pyro.inference.beginning import Beginning, begin
from minvae_pyro.inference.engine import Callback, InferenceEngine
from minvae_pyro.inference.settings import ENGINES, Settings
from minvae_pyro.models import NoisyMixture
from minvae_pyro.probability.settled import differentiable, settled
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
        utterances: the recordings, with expected values in cells that say nothing.
        unexplained: share of the power of the voice that the prior does not explain
            (:func:`minvae_pyro.inference.admission.admit`).
    """

    gain: Tensor
    audio_responsibility: Tensor | None
    objective: list[float]
    mixture: NoisyMixture
    guide: UtteranceGuide
    utterances: Utterances
    unexplained: float = 0.0


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
    every iteration. In a process one call runs at a time, whatever the threads: they share Pyro and the random numbers
    of torch.

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
        **settings: instead of the checkpoint's, see :class:`minvae_pyro.inference.Settings`; None means the
            checkpoint's. A start may be any callable with the signature of
            :class:`minvae_pyro.guides.test_time.starts.Start`.

    Raises:
        UserError: no engine, start, noise model, guide or setting of that name; the message lists those there are.

    Example:
        >>> import minvae_pyro
        >>> checkpoint = minvae_pyro.load_checkpoint("a-vae")
        >>> noisy = Utterances.from_spectrum(torch.randn(1, 9, 513, dtype=torch.complex64))
        >>> engine = {"class_path": "FastVariational", "init_args": {"iterations": 3}}
        >>> found = infer(checkpoint, noisy, engine=engine)
        >>> found.gain.shape, len(found.objective), found.audio_responsibility
        (torch.Size([1, 9, 513]), 3, None)
    """
    with settled(utterances.power.dtype):
        utterances = utterances.replace(**{name: differentiable(one) for name, one in utterances.tensors().items()})
        return _infer(checkpoint, utterances, seed, callback, earlier, dropped, {"engine": engine, **settings})


def _infer(
    checkpoint: Checkpoint,
    utterances: Utterances,
    seed: int,
    callback: Callback | None,
    earlier: Inference | None,
    dropped: int,
    settings: dict[str, Any],
) -> Inference:
    chosen = Settings.of_checkpoint(checkpoint.enhancement, checkpoint.trust, settings)
    fit = make(InferenceEngine, chosen.engine, "engine", ENGINES)  # type: ignore[type-abstract]
    with torch.random.fork_rng([utterances.power.device] if utterances.power.is_cuda else []):
        torch.manual_seed(seed)
        known = None if earlier is None else Beginning(earlier.mixture, earlier.guide, earlier.utterances)
        begun = begin(checkpoint, utterances, chosen, seed, known, dropped)
        mixture, fitted, utterances = begun.mixture, begun.guide, begun.utterances
        fitted = fit.posterior(fitted)
        if earlier is not None:
            fitted.warm_start(earlier.guide, dropped)
            fitted.update_alpha(mixture, utterances, 0.0)
        objective = fit(mixture, fitted, utterances, callback=callback)
        responsibility = fitted.responsibility
        gain = admit(fit.gain(mixture, fitted, utterances, chosen.draws), utterances, chosen.unexplained)
    trust = None if responsibility is None else responsibility.detach()
    return Inference(gain, trust, objective, mixture, fitted, utterances, chosen.unexplained)
