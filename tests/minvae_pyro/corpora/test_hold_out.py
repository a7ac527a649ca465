from dataclasses import dataclass

import pytest
from hypothesis import given, strategies as st

from minvae_pyro.corpora.hold_out import HoldOut, Part
from minvae_pyro.errors import UserError


@dataclass(frozen=True)
class Clip:
    id: str
    speaker: str


def clips(*counts: int) -> list[Clip]:
    """So many clips of each talker."""
    return [Clip(f"{talker}-{number}", str(talker)) for talker, count in enumerate(counts) for number in range(count)]


@given(
    st.lists(st.integers(1, 5), min_size=2, max_size=30),
    st.floats(0.01, 0.99),
    st.sampled_from(["talker", "utterance"]),
)
def test_two_parts_are_the_whole_and_share_nobody(counts, share, by):
    every = clips(*counts)
    stays, held = HoldOut(by, share).split(every)
    assert stays
    assert held
    assert sorted((*stays, *held), key=every.index) == every
    assert stays == sorted(stays, key=every.index)
    if by == "talker":
        assert not {one.speaker for one in stays} & {one.speaker for one in held}
        assert abs(len({one.speaker for one in held}) - share * len(counts)) <= 1
    else:
        assert abs(len(held) - share * len(every)) <= 1


def test_the_choice_hangs_on_names_alone():
    half = HoldOut("talker", 0.5)
    held = {one.speaker for one in half.split(clips(*[2] * 20))[1]}
    assert {one.speaker for one in half.split(clips(*[5] * 20)[::-1])[1]} == held
    # one talker more: all others but one at most stay where they are
    assert len(held ^ {one.speaker for one in half.split(clips(*[2] * 21))[1]}) <= 2


def test_parts_are_read_from_what_is_typed():
    assert HoldOut.parse("talker:0.1") == HoldOut("talker", 0.1)
    assert str(HoldOut.parse("utterance:.25")) == "utterance:0.25"
    assert str(Part(HoldOut("talker", 0.1), held=True)) != str(Part(HoldOut("talker", 0.1), held=False))


@pytest.mark.parametrize(
    "text", ["talker", "talker:0", "talker:1", "talker:1.5", "talker:-0.1", "speaker:0.1", "0.1", ""]
)
def test_what_is_no_part_is_told(text):
    with pytest.raises(UserError, match=r"talker:0\.1"):
        HoldOut.parse(text)


def test_one_talker_cannot_be_split():
    with pytest.raises(UserError, match="only one talker"):
        HoldOut("talker", 0.1).split(clips(4))
    assert len(HoldOut("utterance", 0.1).split(clips(4))[1]) == 1
