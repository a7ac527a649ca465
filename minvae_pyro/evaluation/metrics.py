"""How the columns of numbers of an experiment are called and shown."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Quantity:
    """How a column of numbers is shown.

    Attributes:
        title: in words.
        unit: "" for none.
        digits: after the point.
        signed: whether a plus is written.
    """

    title: str
    unit: str = ""
    digits: int = 2
    signed: bool = False

    @property
    def label(self) -> str:
        """Title and unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    def text(self, value: float) -> str:
        """A value in words; a dash for NaN."""
        if math.isnan(value):
            return "-"
        # no "-0.00"
        rounded = round(value, self.digits) + 0.0
        return f"{rounded:{'+' if self.signed else ''}.{self.digits}f}"

    def phrase(self, value: float) -> str:
        """Title, value and unit."""
        return f"{self.title} {self.text(value)} {self.unit}".rstrip()


_SCORES = {
    "si_sdr": Quantity("SI-SDR", "dB"),
    "si_sir": Quantity("SI-SIR", "dB"),
    "si_sar": Quantity("SI-SAR", "dB"),
    "pesq": Quantity("PESQ-wb", digits=3),
    "pesq_nb": Quantity("PESQ-nb", digits=3),
    "stoi": Quantity("STOI", digits=3),
    "estoi": Quantity("ESTOI", digits=3),
}

_GAINS = {f"{name}_gain": Quantity(f"{q.title} gain", q.unit, q.digits, signed=True) for name, q in _SCORES.items()}

QUANTITIES = {
    **_SCORES,
    **_GAINS,
    "voicing_error": Quantity("voicing decision error", digits=3),
    "gross_pitch_error": Quantity("gross pitch error", digits=3),
    "pitch_frame_error": Quantity("pitch frame error", digits=3),
    "audio_responsibility": Quantity("audio responsibility"),
    "real_time_factor": Quantity("work per sound", "s/s"),
    "elapsed": Quantity("work", "s"),
    "seconds": Quantity("sound", "s"),
}
"""Columns of numbers of the table of an experiment, and how they are shown; another column is shown by its name."""

GAINS = ("si_sdr_gain", "pesq_gain", "estoi_gain")
"""What is shown unless something else is asked for."""


def column(factor: str) -> str:
    """The column of a factor in a table of scores."""
    return f"factor:{factor}"


def quantity(column: str) -> Quantity:
    """How a column is shown."""
    return QUANTITIES.get(column, Quantity(column.replace("_", " ")))
