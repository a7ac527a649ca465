"""What comes from a file is of the type and in the range that its field says."""

from dataclasses import dataclass
from typing import Annotated, Any

import pytest

from minvae_pyro.audio.stft import STFT
from minvae_pyro.corpora.schema import DEEPEST, Range, checked, mismatch, too_deep, transform
from minvae_pyro.errors import UserError


@dataclass(frozen=True)
class Clip:
    frames: Annotated[int, Range(1, 8)]
    seconds: float
    name: str | None = None
    share: Annotated[float, Range(0, 1)] = 0.5


def test_a_whole_description_becomes_an_instance_and_strange_keys_are_left_out() -> None:
    assert checked(Clip, {"frames": 8, "seconds": 2, "other": []}, "x") == Clip(8, 2)
    assert checked(Clip, {"frames": 1, "seconds": 0.5, "name": "a", "share": 1}, "x") == Clip(1, 0.5, "a", 1)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"frames": None}, "frames must be a whole number, not None"),
        ({"frames": True}, "frames must be a whole number, not True"),
        ({"frames": 2.0}, "frames must be a whole number, not 2.0"),
        ({"frames": 0}, "frames must be at least 1 and at most 8, not 0"),
        ({"frames": 9}, "frames must be at least 1 and at most 8, not 9"),
        ({"seconds": "2"}, "seconds must be a number, not '2'"),
        ({"seconds": False}, "seconds must be a number, not False"),
        ({"seconds": float("nan")}, "seconds must be a finite number, not nan"),
        ({"seconds": float("inf")}, "seconds must be a finite number, not inf"),
        ({"name": 3}, "name must be text or null, not 3"),
        ({"share": 1.5}, "share must be at least 0 and at most 1, not 1.5"),
    ],
)
def test_anything_else_is_refused_in_one_line(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as refused:
        checked(Clip, {"frames": 3, "seconds": 1.0} | changed, "clips.json")
    assert str(refused.value) == f"clips.json: {said}."


def test_what_is_missing_or_no_mapping_is_refused() -> None:
    with pytest.raises(UserError, match=r"^x lacks seconds\.$"):
        checked(Clip, {"frames": 3}, "x")
    with pytest.raises(UserError, match=r"^x must be a mapping, not a list\.$"):
        checked(Clip, [3], "x")


def test_a_range_has_its_ends_and_one_without_an_upper_end_says_so() -> None:
    assert [value for value in (-1, 0, 3, 4) if value in Range(0, 3)] == [0, 3]
    assert mismatch(-1, Annotated[int, Range(0)]) == "at least 0"
    assert mismatch(10**400, Annotated[int, Range(0)]) == ""


def test_a_transform_is_that_of_its_numbers_or_refused() -> None:
    found = transform({"n_fft": 512, "hop": 128, "sample_rate": 8000}, "settings")
    assert (found.n_fft, found.hop, found.sample_rate) == (512, 128, 8000)
    assert found.frames(8000) == STFT(512, 128, 8000).frames(8000)
    for wrong in ({"hop": 0}, {"hop": 513}, {"n_fft": -4}, {"n_fft": 10**9}, {"sample_rate": 0}, {"hop": "128"}):
        with pytest.raises(UserError, match=r"^settings"):
            transform({"n_fft": 512, "hop": 128, "sample_rate": 8000} | wrong, "settings")


def test_nesting_is_counted() -> None:
    value: Any = 1
    for _ in range(DEEPEST - 1):
        value = [value]
    assert not too_deep(value)
    assert too_deep({"a": [value]})
