"""What is kept is given back as it was written, or not at all."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from minvae_pyro.evaluation.kept import KeptMouth, keep_mouth, keep_rows, kept_mouth, kept_rows
from minvae_pyro.video.track import MouthTrack

KINDS = {"id": str, "seed": int, "score": float}
ROWS = [{"id": "a", "seed": 0, "score": math.inf}, {"id": "b\udcff", "seed": 1, "score": 0.1 + 0.2}]
KNOWN = [{"id": "a"}, {"id": "b\udcff"}]


def mouth(frames: int = 5) -> KeptMouth:
    generator = torch.Generator().manual_seed(0)
    crops = torch.randint(0, 256, (frames, 67, 67), dtype=torch.uint8, generator=generator)
    track = MouthTrack(crops, torch.arange(frames, dtype=torch.float64) / 25, torch.arange(frames) > 1)
    return KeptMouth(track, ("of 2 video tracks number 1 was used: --video-track chooses another",))


def same(one: KeptMouth, other: KeptMouth) -> bool:
    parts = ((getattr(one.mouth, name), getattr(other.mouth, name)) for name in ("crops", "times", "found"))
    return one.notes == other.notes and all(torch.equal(a, b) and a.dtype == b.dtype for a, b in parts)


def test_rows_come_back(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    assert kept_rows(path, KINDS, KNOWN) is None
    keep_rows(path, ROWS)
    assert kept_rows(path, KINDS, KNOWN) == ROWS
    keep_rows(path, [{**row, "score": math.nan} for row in ROWS])
    found = kept_rows(path, KINDS, KNOWN)
    assert found is not None
    assert all(math.isnan(row["score"]) for row in found)


def _edit(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return damage


def _rename(path: Path) -> None:
    """As if the file of another job had been put there."""
    content = path.read_bytes()
    keep_rows(path.with_name("y.json"), ROWS)
    assert path.with_name("y.json").read_bytes() != content
    path.with_name("y.json").replace(path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-3]),
        lambda path: path.write_bytes(b"\xff\xfe"),
        lambda path: path.write_text("[" * 100_000),
        lambda path: path.write_text("[]"),
        lambda path: path.write_text(json.dumps(ROWS)),  # as versions before wrote it
        _edit(lambda content: content["content"][1].update(score=9.0)),
        _edit(lambda content: content["content"].pop()),
        _edit(lambda content: content["content"].reverse()),
        _edit(lambda content: content.update(format=2)),
        _edit(lambda content: content.pop("digest")),
        _edit(lambda content: content.update(content={})),
        _rename,
        lambda path: (path.unlink(), path.mkdir()),
    ],
)
def test_rows_that_are_not_as_they_were_written_are_none(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    path = tmp_path / "x.json"
    keep_rows(path, ROWS)
    damage(path)
    assert kept_rows(path, KINDS, KNOWN) is None


@pytest.mark.parametrize(
    ("rows", "known"),
    [
        (ROWS, KNOWN[:1]),
        (ROWS, KNOWN[::-1]),
        ([{**ROWS[0], "more": 1}, ROWS[1]], KNOWN),
        ([{"id": "a", "seed": 0}, ROWS[1]], KNOWN),
        ([{**ROWS[0], "seed": 0.5}, ROWS[1]], KNOWN),
        ([{**ROWS[0], "score": "high"}, ROWS[1]], KNOWN),
        ([{**ROWS[0], "score": None}, ROWS[1]], KNOWN),
        ([[], ROWS[1]], KNOWN),
    ],
)
def test_rows_of_other_columns_or_mixtures_are_none(tmp_path: Path, rows: list[Any], known: list[Any]) -> None:
    path = tmp_path / "x.json"
    keep_rows(path, rows)
    assert kept_rows(path, KINDS, known) is None


@pytest.mark.parametrize("frames", [0, 1, 5])
def test_a_mouth_comes_back(tmp_path: Path, frames: int) -> None:
    path = tmp_path / "clip-1.safetensors"
    assert kept_mouth(path) is None
    keep_mouth(path, mouth(frames))
    found = kept_mouth(path)
    assert found is not None
    assert same(found, mouth(frames))


def _flip(path: Path) -> None:
    """One grey level, as a bad disk would."""
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)


def _without_seal(path: Path) -> None:
    """As versions before wrote it."""
    save_file(load_file(path), path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-3]),
        lambda path: path.write_bytes(path.read_bytes()[:100]),
        _flip,
        _without_seal,
        lambda path: keep_mouth(path.with_name("other"), mouth()) or path.with_name("other").replace(path),
        lambda path: (path.unlink(), path.mkdir()),
    ],
)
def test_a_mouth_that_is_not_as_it_was_written_is_none(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    path = tmp_path / "clip-1.safetensors"
    keep_mouth(path, mouth())
    damage(path)
    assert kept_mouth(path) is None


@pytest.mark.parametrize("times", [[0.0, 0.1, 0.1], [0.0, math.nan, 0.2], [0.0, 0.1, math.inf]])
def test_times_are_numbers_that_increase(tmp_path: Path, times: list[float]) -> None:
    path = tmp_path / "clip-1.safetensors"
    track = MouthTrack(mouth(3).mouth.crops, torch.tensor(times, dtype=torch.float64), torch.ones(3, dtype=torch.bool))
    keep_mouth(path, KeptMouth(track, ()))
    assert kept_mouth(path) is None
