"""From a checkpoint and noisy spectra to a Wiener gain."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor

from minvae_pyro.checkpoints import Checkpoint
from minvae_pyro.errors import UserError
from minvae_pyro.guides import MeanFieldGuide, component_log_odds
from minvae_pyro.guides.starts import STARTS, Start
from minvae_pyro.inference.engine import Callback, InferenceEngine, resolve
from minvae_pyro.inference.svi import StochasticVariational
from minvae_pyro.inference.vem import VariationalEM
from minvae_pyro.models import NMFNoise, NoisyMixture, reweigh, sharpen
from minvae_pyro.models.mixing import audio_where_unseen
from minvae_pyro.utterances import Utterances

ENGINES: dict[str, type[InferenceEngine]] = {"svi": StochasticVariational, "vem": VariationalEM}
"""Engines by their short names; any other engine is named by its import path."""


@dataclass(frozen=True)
class Settings:
    """Defaults of enhancement, kept in the checkpoint under ``enhancement``.

    Attributes:
        start: where q(z) starts: a name of :data:`minvae_pyro.guides.starts.STARTS`, or an import path.
        rank: components of the NMF noise.
        temperature: sharpening of the visual component of the prior; 1 leaves it as trained.
        mixing_weight: pi = P(alpha = 1) before the recording is looked at; None leaves it as trained. Near one, the
            eyes have to earn their trust: the gate's log-odds, learnt at the pi of training, are moved by the change.
        draws: draws of z over which the Wiener gain is averaged.
    """

    start: str = "both"
    rank: int = 4
    temperature: float = 1.0
    mixing_weight: float | None = None
    draws: int = 8

    def __post_init__(self) -> None:
        if self.rank < 1 or self.draws < 1 or not self.temperature > 0:
            raise UserError(f"enhancement needs rank and draws of at least 1 and a temperature above 0, not {self}.")
        if self.mixing_weight is not None and not 0 < self.mixing_weight < 1:
            raise UserError(f"enhancement needs a mixing_weight between 0 and 1, not {self.mixing_weight}.")

    @classmethod
    def choose(cls, *layers: Mapping[str, Any]) -> Settings:
        """Settings from mappings, the later ones in front.

        Raises:
            UserError: an unknown name or an impossible value.
        """
        chosen = {name: value for layer in layers for name, value in layer.items()}
        known = [field.name for field in fields(cls)]
        unknown = ", ".join(sorted(chosen.keys() - set(known)))
        if unknown:
            raise UserError(f"there is no setting {unknown} of enhancement. There are {', '.join(known)}.")
        return cls(**chosen)


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
    guide: MeanFieldGuide


def infer(
    checkpoint: Checkpoint,
    utterances: Utterances,
    *,
    engine: str | InferenceEngine = "svi",
    start: str | Start | None = None,
    seed: int = 0,
    callback: Callback | None = None,
    **settings: Any,
) -> Inference:
    """Fit posterior and noise to noisy recordings.

    q(alpha) is the trained guide's where its rule can be asked on a noisy recording (the learnt gate), and the
    closed form given q(z), refreshed in every iteration, where it cannot.

    Args:
        checkpoint: prior and trained guide.
        utterances: ``spectrum`` complex (B, N, F), of waveforms scaled to unit RMS.
        engine: ``"svi"``, ``"vem"``, the import path of an engine, or an engine.
        start: where q(z) starts; the checkpoint's choice when omitted.
        seed: decides everything random.
        callback: called after each iteration.
        **settings: instead of the checkpoint's, see :class:`Settings`.

    Returns:
        Inference: the gain, and how it came about.

    Raises:
        UserError: no engine, start or setting of that name; the message tells those there are.
    """
    chosen = Settings.choose(checkpoint.enhancement, settings)
    runs: InferenceEngine = resolve(engine, ENGINES, _is_engine, "engine")() if isinstance(engine, str) else engine
    start = chosen.start if start is None else start
    begin: Start = resolve(start, STARTS, _is_start, "start") if isinstance(start, str) else start
    devices = [utterances.heard.device] if utterances.heard.is_cuda else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        return _run(checkpoint, utterances, runs, begin, chosen, seed, callback)


def _is_engine(found: Any) -> bool:
    return inspect.isclass(found) and issubclass(found, InferenceEngine) and not inspect.isabstract(found)


def _is_start(found: Any) -> bool:
    return callable(found) and not inspect.isclass(found)


def _run(
    checkpoint: Checkpoint,
    utterances: Utterances,
    engine: InferenceEngine,
    start: Start,
    settings: Settings,
    seed: int,
    callback: Callback | None,
) -> Inference:
    encoders: Any = checkpoint.guide
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        logit = encoders.noisy_log_odds(utterances)
        even = torch.zeros_like(utterances.mask, dtype=utterances.heard.dtype)
        trained: Any = checkpoint.prior
        weighed: Any = reweigh(trained, settings.mixing_weight)
        if logit is not None:
            logit = logit + weighed.mixing(utterances) - trained.mixing(utterances)
        known = audio_where_unseen(even if logit is None else logit, utterances)
        prior = sharpen(weighed, settings.temperature).given(utterances)
        mean, scale = start(prior, encoders, utterances, 1 - known.sigmoid(), seed)
    noise = NMFNoise.start(utterances, settings.rank, generator)
    mixture = NoisyMixture(prior, noise, torch.ones_like(utterances.heard[:, :1, :1]))
    has_alpha = component_log_odds(prior, dist.Normal(mean, scale).to_event(1), utterances) is not None
    guide = MeanFieldGuide(mean, scale, mixture=has_alpha)
    guide.logit = known
    refresh = logit is None and has_alpha
    if refresh:
        guide.refresh(prior, utterances)
    objective = engine(mixture, guide, utterances, refresh=refresh, callback=callback)
    responsibility = guide.responsibility
    gain = engine.gain(mixture, guide, utterances, settings.draws)
    return Inference(gain, None if responsibility is None else responsibility.detach(), objective, mixture, guide)
