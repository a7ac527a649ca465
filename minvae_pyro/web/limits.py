"""How large and how long a recording may be, so that no visitor keeps all others waiting."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from minvae_pyro.errors import UserError
from minvae_pyro.media.container import open_media
from minvae_pyro.media.survey import survey

_MICROSECONDS = 1e6  # of the container's clock


@dataclass(frozen=True)
class Limits:
    """What is taken.

    Attributes:
        megabytes: size of a file.
        seconds: length of a recording.
    """

    megabytes: float
    seconds: float

    def __str__(self) -> str:
        """In words, for the page."""
        return f"up to {self.seconds:g} s and {self.megabytes:g} MB"

    def check(self, recording: Path) -> None:
        """See that a recording is not too large or too long, before it is decoded.

        Raises:
            UserError: it is, or it is no sound or video file.
        """
        size = recording.stat().st_size / 1e6
        if size > self.megabytes:
            raise UserError(
                f"the recording has {size:.0f} MB, and at most {self.megabytes:g} MB are taken here: cut it."
            )
        with open_media(recording) as container:
            announced = (container.duration or 0) / _MICROSECONDS
        seconds = announced if announced > self.seconds else _seconds(recording)
        if seconds > self.seconds:
            raise UserError(
                f"the recording has {seconds:.0f} s, and at most {self.seconds:g} s are taken here: cut it."
            )


def _seconds(recording: Path) -> float:
    """By its packets: recorders in browsers write no length, and a header may lie."""
    file = survey(recording)
    return max(file.end, float(file.shown[-1]) if len(file.shown) else 0.0)
