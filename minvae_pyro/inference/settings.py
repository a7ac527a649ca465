"""Settings of enhancement: how to infer, kept in the checkpoint."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from minvae_pyro.corpora.schema import Range, mismatch
from minvae_pyro.corpora.structural import lacking
from minvae_pyro.errors import UserError, shown
from minvae_pyro.guides import UtteranceGuide
from minvae_pyro.guides.test_time.starts import STARTS, Start
from minvae_pyro.inference.engine import InferenceEngine
from minvae_pyro.inference.fast import FastVariational
from minvae_pyro.inference.langevin import LangevinEM
from minvae_pyro.inference.metropolis import MetropolisHastingsEM
from minvae_pyro.inference.point import PointEM
from minvae_pyro.inference.svi import StochasticVariational
from minvae_pyro.inference.vem import VariationalEM
from minvae_pyro.models import NoiseModel
from minvae_pyro.registry.admission import Trust, admit_parts, admitted_function
from minvae_pyro.registry.names import Description, needed, resolve

ENGINES: dict[str, type[InferenceEngine]] = {
    "fast": FastVariational,
    "svi": StochasticVariational,
    "vem": VariationalEM,
    "map": PointEM,
    "mcem": MetropolisHastingsEM,
    "langevin": LangevinEM,
}
"""Engines by their short names; any other engine is named by its class."""

PARTS: dict[str, tuple[type, dict[str, type[InferenceEngine]]]] = {
    "engine": (InferenceEngine, ENGINES),
    "noise": (NoiseModel, {}),
    "guide": (UtteranceGuide, {}),
}
"""Settings that are classes: what they derive from, and names besides those of the classes."""

DEFAULT_ENGINE = "fast"
"""The engine that infers when none is named."""


@dataclass(frozen=True)
class Settings:
    """Defaults of enhancement, kept in the checkpoint under ``enhancement``.

    Engine, noise and guide are a class name, an import path, a description (``class_path``, ``init_args``) or an
    instance.

    Attributes:
        engine: how to infer: a name of :data:`ENGINES`, or as noise and guide.
        start: where q(z) starts: a name of :data:`minvae_pyro.guides.test_time.starts.STARTS`, or an import path.
        noise: the noise model.
        guide: the posterior that is fitted; also a guide of Pyro's or a function, see
            :func:`minvae_pyro.inference.pyro_parts.make_guide`.
        temperature: sharpening of the visual component of the prior; 1 leaves it as trained.
        mixing_weight: initial pi = P(alpha = 1); None leaves it as trained. Near one, the mouth needs more evidence:
            the gate's log-odds, learnt at the pi of training, are moved by the change.
        draws: draws of z over which the Wiener gain is averaged.
        unexplained: power of a voice that the prior does not explain, as a share of the voice's
            (:func:`minvae_pyro.inference.admission.admit`); 0 claims that it explains all.
        independent: share of the cells of a spectrogram that count as independent evidence: frames overlap, and what
            two of them say alike is said once. Equation :eq:`independent-cells`.
        gain: whether speech has one loudness for the ``clip`` or one for each ``frame``, fitted either way.
    """

    engine: Description | InferenceEngine = DEFAULT_ENGINE
    start: str | Start = "both"
    noise: Description | NoiseModel = "NMFNoise"
    guide: Description | UtteranceGuide | type | Callable[..., Any] = "MeanFieldGuide"
    temperature: float = 1.0
    mixing_weight: float | None = None
    draws: int = 8
    unexplained: float = 0.0
    independent: float = 1.0
    gain: Literal["clip", "frame"] = "clip"

    def __post_init__(self) -> None:
        for name, hint in _NUMBERS.items():
            if reason := mismatch(getattr(self, name), hint):
                raise UserError(f"enhancement needs {name} to be {reason}, not {shown(getattr(self, name))}.")
        if self.gain not in ("clip", "frame"):
            raise UserError(f"enhancement needs a gain per clip or frame, not {shown(self.gain)}.")
        if not 0 <= self.unexplained < 1:
            raise UserError(f"enhancement needs a share unexplained of at least 0 and below 1, not {self.unexplained}.")
        if not 0 < self.independent <= 1:
            raise UserError(f"enhancement needs a share independent above 0 and up to 1, not {self.independent}.")
        if self.mixing_weight is not None and not 0 < self.mixing_weight < 1:
            raise UserError(f"enhancement needs a mixing_weight between 0 and 1, not {self.mixing_weight}.")

    @classmethod
    def choose(cls, *layers: Mapping[str, Any]) -> Settings:
        """Settings from mappings, the later ones in front, all of them the caller's own.

        Raises:
            UserError: an unknown name or an impossible value.
        """
        chosen = {name: value for layer in layers for name, value in layer.items() if value is not None}
        known = [field.name for field in fields(cls)]
        unknown = ", ".join(shown(name)[1:-1] for name in sorted(chosen.keys() - set(known)))
        if unknown:
            raise UserError(f"there is no setting {unknown} of enhancement. There are {', '.join(known)}.")
        return cls(**chosen)

    @classmethod
    def of_checkpoint(cls, kept: Mapping[str, Any], trust: Trust | None, *given: Mapping[str, Any]) -> Settings:
        """The settings that a checkpoint keeps, with those of the caller in front.

        Args:
            kept: :attr:`minvae_pyro.checkpoints.checkpoint.Checkpoint.enhancement`.
            trust: :attr:`minvae_pyro.checkpoints.checkpoint.Checkpoint.trust`.
            *given: the caller's own, the later ones in front. What they replace in ``kept`` does not count.

        Raises:
            UserError: as :meth:`choose`, or the checkpoint names what is neither of this package nor trusted.
        """
        asked = {key: value for key, value in kept.items() if all(layer.get(key) is None for layer in given)}
        return cls.choose(asked if trust is None else _admitted(asked, trust), *given)


_NUMBERS: dict[str, Any] = {
    "temperature": Annotated[float, Range(1e-6, 1e6)],
    "mixing_weight": float | None,
    "draws": Annotated[int, Range(1, 1000)],
    "unexplained": float,
    "independent": float,
}
"""Settings that are numbers, and the ranges within which they mean something."""


def _admitted(kept: Mapping[str, Any], trust: Trust) -> dict[str, Any]:
    """The settings in a file, their classes with full import paths, all looked up: none else is made for them."""
    start = kept.get("start")
    if start is not None and not isinstance(start, str):
        raise UserError(f"start must be a name, not {shown(start)}.")
    if start is not None and start not in STARTS:
        if "." not in start:
            raise UserError(f"there is no start {shown(start)}. Choose {', '.join(STARTS)}.")
        admitted_function(start, "start", trust)
    return {**kept, **admit_parts(kept, PARTS, trust)}


def start_named(name: str) -> Start:
    """A start by its name.

    Args:
        name: of :data:`minvae_pyro.guides.test_time.starts.STARTS`, or the import path of a function with the signature
            of :class:`minvae_pyro.guides.test_time.starts.Start`, or of a class whose instances have it.

    Raises:
        UserError: there is none of that name, or it cannot be called so.
    """
    found: Any = resolve(name, STARTS, _is_start, "start")
    start: Any = found() if inspect.isclass(found) else found
    return start


def _is_start(found: Any) -> bool | str:
    if lacks := lacking(Start, ["__call__"], found):
        return lacks
    missing = needed(found) if inspect.isclass(found) else []
    return f"it is made without arguments, and needs {', '.join(missing)}" if missing else True
