import csv
import io
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, strategies as st

from minvae_pyro.corpora.manifest import Entry, read_manifest, write_manifest
from minvae_pyro.corpora.spreadsheets import csv_bytes, defused, restored

FORMULAS = ["=cmd|' /C calc'!A0", "+1+cmd", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "＝1+1", "'=1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_become_text(text: str) -> None:
    assert defused(text) == f"'{text}"
    assert restored(defused(text)) == text


@pytest.mark.parametrize("value", ["-5", "+0.5", "-1e3", "babble", "", "'", "a=b", -5.0, None, True])
def test_what_is_no_formula_stays(value: object) -> None:
    assert defused(value) is value


@given(st.text(alphabet="=+-@'a1\t\n"))
def test_every_text_is_read_as_it_was(text: str) -> None:
    assert restored(defused(text)) == text
    assert not defused(text).startswith(("=", "@"))


def test_a_table_keeps_its_numbers_and_defuses_names() -> None:
    table = pd.DataFrame({"=name": ["=1+1", "plain"], "score": [-1.5, float("nan")]})
    assert csv_bytes(table) == b"'=name,score\n'=1+1,-1.5\nplain,\n"
    assert list(table) == ["=name", "score"]


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    entries = [Entry(f"{text}\udcff", "features/a.safetensors", 3, 1.0, True, 1.0, text, text) for text in FORMULAS]
    write_manifest(tmp_path, entries)
    assert read_manifest(tmp_path) == entries
    text = (tmp_path / "manifest.csv").read_text(encoding="utf-8", errors="surrogateescape")
    assert not any(cell.startswith(("=", "@")) for row in csv.reader(io.StringIO(text, newline="")) for cell in row)
