"""Claims that an ablation decides: this is better than that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from minvae_pyro.errors import UserError
from minvae_pyro.evaluation.descriptions import parse
from minvae_pyro.evaluation.metrics import GAINS
from minvae_pyro.evaluation.scores import METRICS

_COLUMNS = (*METRICS, *(f"{metric}_gain" for metric in METRICS), "audio_responsibility")


@dataclass(frozen=True)
class Claim:
    """A claim on two or more combinations of levels.

    Attributes:
        text: what is claimed.
        first: levels of the combination that is praised; factors left out stay at their reference.
        than: levels of the one that it is compared with, or of several.
        source: where it is claimed.
        relation: what is claimed of the difference: that it is above zero, or not below it.
        metrics: columns of the table of scores; higher is better.
    """

    text: str
    first: Mapping[str, Any]
    than: Mapping[str, Any] | Sequence[Mapping[str, Any]]
    source: str = ""
    relation: Literal["better", "not worse"] = "better"
    metrics: tuple[str, ...] = GAINS

    @property
    def compared(self) -> list[dict[str, str]]:
        """All combinations that are named, the praised one first."""
        rivals = [self.than] if isinstance(self.than, Mapping) else self.than
        return [{str(factor): str(level) for factor, level in one.items()} for one in (self.first, *rivals)]


def read_claim(described: Any) -> Claim:
    """The :class:`Claim` that a mapping describes.

    Raises:
        UserError: a key is missing, unknown or of another type, or there is no such score.
    """
    where = f"claim '{described.get('text', '')}'" if isinstance(described, Mapping) else "a claim"
    claim = Claim(**parse(described, where, Claim))
    if missing := [metric for metric in claim.metrics if metric not in _COLUMNS]:
        raise UserError(f"{where}: there is no score {', '.join(missing)}. There are {', '.join(_COLUMNS)}.")
    if not claim.metrics or len(claim.compared) < 2:
        raise UserError(f"{where}: metrics and than must not be empty.")
    return claim
