"""Damaged media are read, or refused in one line, within seconds and little memory."""

import resource
import time
from pathlib import Path

import pytest

from minvae_pyro.audio.files import read_sound
from minvae_pyro.errors import UserError
from minvae_pyro.video.frames import read_frames
from tests.fuzz.media import FORMATS, damaged, damaged_media, sound_media

SECONDS = 10.0  # for one file
MEGABYTES = 300  # for all of them


def test_what_is_not_damaged_is_read(tmp_path: Path) -> None:
    for suffix, (pictures, _, rate) in FORMATS.items():
        path = tmp_path / f"whole{suffix}"
        path.write_bytes(sound_media(suffix))
        assert read_sound(path).sample_rate == rate
        assert read_sound(path).seconds == pytest.approx(0.6, abs=0.2)
        assert not pictures or len(list(read_frames(path))) == 15


def test_a_seed_gives_one_file_and_another_one_another() -> None:
    assert damaged(5) == damaged(5)
    assert len({damaged(seed)[1] for seed in range(60)}) == 60


@pytest.mark.parametrize("block", range(4))
def test_damaged_media_are_read_or_refused(tmp_path: Path, block: int) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, file in damaged_media(range(34 * block, 34 * (block + 1)), tmp_path):
        began = time.perf_counter()
        read, refused = survive(file)
        assert read + refused == 2, name
        assert time.perf_counter() - began < SECONDS, name
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000 < MEGABYTES


def survive(file: Path) -> tuple[int, int]:
    """How many of sound and pictures are read, and how many refused; anything else that is raised is a fault."""
    read = refused = 0
    for use in (lambda: read_sound(file), lambda: sum(1 for _ in read_frames(file))):
        try:
            use()
            read += 1
        except UserError as error:
            refused += "\n" not in str(error)
    return read, refused
