"""Limits are kept before a recording is decoded, and said in one line."""

from pathlib import Path

import pytest

from minvae_pyro.errors import UserError
from minvae_pyro.web.limits import Limits


def test_what_is_within_the_limits_passes(clip: Path) -> None:
    Limits(megabytes=1, seconds=1.2).check(clip)


def test_a_long_recording_is_refused(clip: Path) -> None:
    with pytest.raises(UserError, match=r"has 1 s, and at most 0\.5 s are taken here"):
        Limits(megabytes=1, seconds=0.5).check(clip)


def test_a_large_recording_is_refused(clip: Path) -> None:
    with pytest.raises(UserError, match=r"at most 0\.01 MB are taken here"):
        Limits(megabytes=0.01, seconds=9).check(clip)


def test_the_page_says_them() -> None:
    assert str(Limits(200.0, 120.0)) == "up to 120 s and 200 MB"
