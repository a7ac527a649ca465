"""CSV files that spreadsheets can open: text that one would take for a formula is plain, and read again as it was."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_PLAIN = "'"  # in front of it, a spreadsheet shows text


def defused(text: Any) -> Any:
    """Text with an apostrophe in front where a spreadsheet would compute it; anything else, and numbers, as it is.

    Example:
        >>> defused("=cmd|' /C calc'!A0"), defused("-5"), defused("babble")
        ("'=cmd|' /C calc'!A0", '-5', 'babble')
    """
    if not isinstance(text, str) or not text.lstrip(_PLAIN).startswith(_FORMULA) or _is_number(text):
        return text
    return _PLAIN + text


def restored(text: str) -> str:
    """What :func:`defused` was given."""
    return text[1:] if text.startswith(_PLAIN) and defused(text[1:]) == text else text


def csv_bytes(table: pd.DataFrame) -> bytes:
    """A table as a CSV file."""
    plain = table.rename(columns=defused)
    texts = plain.select_dtypes(exclude="number").columns
    plain = plain.assign(**{name: plain[name].map(defused) for name in texts})
    return str(plain.to_csv(index=False)).encode()


def _is_number(text: str) -> bool:
    try:
        return not math.isnan(float(text))
    except ValueError:
        return False
