"""Claims that an ablation decides: this is better than that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from minvae_pyro.errors import UserError
from minvae_pyro.evaluation.metrics import GAINS
from minvae_pyro.evaluation.scores import METRICS

RELATIONS = ("better", "not worse")
"""What can be claimed of the difference: above zero, and not below it."""

_COLUMNS = (*METRICS, *(f"{metric}_gain" for metric in METRICS), "audio_responsibility")
_KEYS = ("text", "source", "first", "than", "relation", "metrics")


@dataclass(frozen=True)
class Claim:
    """A claim on two or more combinations of levels.

    Attributes:
        text: what is claimed.
        source: where.
        first: levels of the combination that is praised; factors left out stay at their reference.
        than: levels of those that it is compared with.
        relation: one of :data:`RELATIONS`.
        metrics: columns of the table of scores; higher is better.
    """

    text: str
    first: Mapping[str, str]
    than: tuple[Mapping[str, str], ...]
    source: str = ""
    relation: str = "better"
    metrics: tuple[str, ...] = GAINS

    @property
    def compared(self) -> tuple[Mapping[str, str], ...]:
        """All combinations that are named."""
        return (self.first, *self.than)


def read_claims(described: Any) -> tuple[Claim, ...]:
    """The claims that a list describes.

    Args:
        described: mappings with ``text``, ``first``, ``than`` (one or a list) and perhaps ``source``, ``relation`` and
            ``metrics``, see :class:`Claim`.

    Raises:
        UserError: it is no such list.
    """
    if not isinstance(described, list):
        raise UserError(f"claims must be a list such as [{{text: ..., first: ..., than: ...}}], not {described!r}.")
    return tuple(_claim(one) for one in described)


def _claim(described: Any) -> Claim:
    if not isinstance(described, Mapping) or not all(key in described for key in ("text", "first", "than")):
        raise UserError(f"a claim needs text, first and than, unlike {described!r}.")
    text = str(described["text"])
    unknown = [str(key) for key in described if key not in _KEYS]
    if unknown:
        raise UserError(f"claim '{text}': there is no key {', '.join(unknown)}. There are {', '.join(_KEYS)}.")
    relation = described.get("relation", "better")
    if relation not in RELATIONS:
        raise UserError(f"claim '{text}': relation is {' or '.join(RELATIONS)}, not {relation!r}.")
    rivals = described["than"] if isinstance(described["than"], list) else [described["than"]]
    for levels in (described["first"], *rivals):
        if not isinstance(levels, Mapping):
            raise UserError(f"claim '{text}': first and than are levels such as {{start: visual}}, not {levels!r}.")
    metrics = described.get("metrics", list(GAINS))
    if not isinstance(metrics, list) or not metrics:
        raise UserError(f"claim '{text}': metrics must be a list such as [si_sdr_gain], not {metrics!r}.")
    if missing := [str(metric) for metric in metrics if metric not in _COLUMNS]:
        raise UserError(f"claim '{text}': there is no score {', '.join(missing)}. There are {', '.join(_COLUMNS)}.")
    return Claim(
        text,
        _levels(described["first"]),
        tuple(_levels(levels) for levels in rivals),
        str(described.get("source", "")),
        relation,
        tuple(str(metric) for metric in metrics),
    )


def _levels(described: Mapping[Any, Any]) -> dict[str, str]:
    return {str(factor): str(level) for factor, level in described.items()}
