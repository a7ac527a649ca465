"""A corpus in two: what is learnt from, and talkers or utterances that are held out, chosen by their names alone."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from minvae_pyro.errors import UserError, shown


class Named(Protocol):
    """What has a name and a talker: a clip, or the entry of a manifest."""

    @property
    def id(self) -> str:
        """Name, unique in its corpus."""

    @property
    def speaker(self) -> str:
        """Who talks."""


N = TypeVar("N", bound=Named)


@dataclass(frozen=True)
class HoldOut:
    """Which share of what is held out.

    The choice hangs on names and on nothing else: it is the same on every machine, and a clip more changes little.

    Attributes:
        by: "talker" or "utterance".
        share: of them that is held out, between 0 and 1; one at least.
    """

    by: str
    share: float

    @classmethod
    def parse(cls, text: str) -> HoldOut:
        """Read ``talker:0.1`` or ``utterance:0.1``.

        Raises:
            UserError: it is neither.

        Example:
            >>> HoldOut.parse("talker:0.1")
            HoldOut(by='talker', share=0.1)
        """
        found = re.fullmatch(r"(talker|utterance):(0?\.\d+)", text)
        if found is None or not float(found[2]):
            raise UserError(f"{shown(text)} is no part to hold out: give talker:0.1 or utterance:0.1, say.")
        return cls(found[1], float(found[2]))

    def __str__(self) -> str:
        return f"{self.by}:{self.share:g}"

    def split(self, named: Sequence[N]) -> tuple[list[N], list[N]]:
        """What stays and what is held out, each in the order given.

        Raises:
            UserError: there is only one talker, or one utterance.
        """
        held = self.choose(self._group(one) for one in named)
        return [one for one in named if self._group(one) not in held], [
            one for one in named if self._group(one) in held
        ]

    def choose(self, groups: Iterable[str]) -> set[str]:
        """The groups that are held out.

        Raises:
            UserError: there is only one.
        """
        every = sorted(set(groups), key=lambda name: hashlib.sha256(name.encode(errors="surrogateescape")).digest())
        if len(every) < 2:
            other = ", or hold utterances out" if self.by == "talker" else ""
            raise UserError(f"there is only one {self.by}, and none can be held out: add others{other}.")
        return set(every[: min(len(every) - 1, max(1, round(self.share * len(every))))])

    def _group(self, one: Named) -> str:
        return one.speaker if self.by == "talker" else one.id


@dataclass(frozen=True)
class Part:
    """One of the two parts of a corpus.

    Attributes:
        hold_out: how it is split.
        held: whether this is what is held out.
    """

    hold_out: HoldOut
    held: bool

    def __str__(self) -> str:
        return f"{'held out' if self.held else 'all but'} {self.hold_out}"

    def of(self, named: Sequence[N]) -> list[N]:
        """What of these belongs to this part.

        Raises:
            UserError: as :meth:`HoldOut.split`.
        """
        return self.hold_out.split(named)[self.held]
