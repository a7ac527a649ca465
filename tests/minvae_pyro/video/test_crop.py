"""The crop shows the square that was asked for."""

import numpy as np
from hypothesis import given, strategies as st

from minvae_pyro.video.crop import cut_square

ACROSS, DOWN = np.meshgrid(np.arange(360) + 0.5, np.arange(288) + 0.5)


@given(st.floats(130, 230), st.floats(130, 158), st.floats(20, 250))
def test_a_slope_is_cut_where_it_was_asked(x, y, side):
    """Brightness that rises linearly survives any good interpolation: the crop tells where it comes from."""
    offset = (np.arange(67) + 0.5) * side / 67 - side / 2
    across = cut_square(np.round(0.6 * ACROSS).astype(np.uint8), x, y, side).astype(float)
    down = cut_square(np.round(0.8 * DOWN).astype(np.uint8), x, y, side).astype(float)
    # One grey level or so of rounding, twice.
    np.testing.assert_allclose(across, np.broadcast_to(0.6 * (x + offset), (67, 67)), atol=1.5)
    np.testing.assert_allclose(down, np.broadcast_to(0.8 * (y + offset)[:, None], (67, 67)), atol=1.5)


@given(st.floats(0, 359.9), st.floats(0, 287.9), st.floats(1, 2000))
def test_any_square_around_a_point_of_the_picture(x, y, side):
    crop = cut_square(np.full((288, 360), 77, np.uint8), x, y, side)
    assert crop.shape == (67, 67)
    assert (crop == 77).all()


def test_what_lies_outside_repeats_the_rim():
    picture = np.full((100, 100), 50, np.uint8)
    picture[:, 0] = 200
    crop = cut_square(picture, 10, 50, 67)
    assert (crop[:, :20] > 190).all()
    assert (crop[:, 30:] < 60).all()


def test_a_large_square_is_averaged_and_not_sampled():
    """Stripes finer than a pixel of the crop turn grey; picking pixels would give false patterns."""
    stripes = np.zeros((670, 670), np.uint8)
    stripes[:, ::2] = 200
    crop = cut_square(stripes, 335, 335, 600).astype(float)
    assert np.abs(crop - 100).max() < 12
