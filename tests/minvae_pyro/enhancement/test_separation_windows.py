import torch
from hypothesis import given
from hypothesis import strategies as st

from minvae_pyro.enhancement.separation import split


@given(total=st.integers(1, 3000), longest=st.integers(12, 400), data=st.data())
def test_windows_cover_the_recording_and_overlap_as_asked(total: int, longest: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(2, longest // 3))
    windows = split(total, longest, overlap)
    assert windows.starts[0] == 0
    assert windows.starts[-1] + windows.length == total
    assert windows.length <= longest
    steps = torch.tensor(windows.starts).diff()
    assert (windows.length - steps >= overlap - 1).all()
    # only neighbours meet, so that two ramps never lie on one another
    assert (steps[1:] + steps[:-1] >= windows.length).all()


@given(total=st.integers(1, 600), longest=st.integers(12, 90), data=st.data())
def test_weights_sum_to_one_everywhere(total: int, longest: int, data: st.DataObject) -> None:
    windows = split(total, longest, data.draw(st.integers(2, longest // 3)))
    positions = torch.linspace(0, total, 4 * total + 1, dtype=torch.float64)
    whole = torch.zeros_like(positions)
    for window, start in enumerate(windows.starts):
        inside = (positions >= start) & (positions <= start + windows.length)
        weight = windows.weight(window, positions[inside])
        assert ((weight >= 0) & (weight <= 1)).all()
        whole[inside] += weight
    torch.testing.assert_close(whole, torch.ones_like(whole))


def test_a_short_recording_is_one_window() -> None:
    windows = split(7, 20, 4)
    assert windows.starts == (0,)
    assert windows.length == 7
    assert windows.weight(0, torch.arange(8.0)).eq(1).all()
