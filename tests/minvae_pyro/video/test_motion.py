"""The shift of a face is measured to a fraction of a pixel."""

import cv2
import numpy as np
import pytest

from minvae_pyro.video.motion import face_shift

BOX = np.array([100.0, 90.0, 120.0])


def texture(seed=0, shape=(200, 200)):
    noise = np.random.default_rng(seed).normal(size=shape)
    smooth = cv2.GaussianBlur(noise, (0, 0), 4)
    return np.clip(128 + 40 * smooth / smooth.std(), 0, 255)


def moved(picture, shift):
    matrix = np.array([[1.0, 0.0, shift[0]], [0.0, 1.0, shift[1]]])
    size = picture.shape[1], picture.shape[0]
    return cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.3, -0.4), (2.5, 1.0), (-7.0, 9.0)])
def test_shift_is_measured(shift):
    picture = texture()
    measured = face_shift(picture.astype(np.uint8), moved(picture, shift).astype(np.uint8), BOX)
    np.testing.assert_allclose(measured, shift, atol=0.1)


def test_a_real_face_that_moves(grid_pictures):
    picture = grid_pictures[0]
    measured = face_shift(picture, moved(picture, (1.5, -0.7)), np.array([155.0, 170.0, 140.0]))
    np.testing.assert_allclose(measured, (1.5, -0.7), atol=0.1)


def test_a_blink_is_no_movement():
    before = texture().astype(np.uint8)
    after = before.copy()
    after[60:75, 60:140] = 90
    np.testing.assert_allclose(face_shift(before, after, BOX), 0.0, atol=0.1)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (np.full((200, 200), 90, np.uint8), np.full((200, 200), 90, np.uint8)),
        (texture().astype(np.uint8), np.full((200, 200), 90, np.uint8)),
        (texture().astype(np.uint8), texture(shape=(100, 100)).astype(np.uint8)),
    ],
    ids=["flat", "blank", "other size"],
)
def test_nothing_to_follow_is_no_shift(before, after):
    shift = face_shift(before, after, BOX)
    assert np.abs(shift).max() <= 0.2 * BOX[2]
    if before.std() == 0 or before.shape != after.shape:
        np.testing.assert_array_equal(shift, 0.0)


def test_a_cut_moves_a_face_by_a_fifth_of_it_at_most():
    for seed in range(1, 6):
        shift = face_shift(texture().astype(np.uint8), texture(seed).astype(np.uint8), BOX)
        assert np.abs(shift).max() <= 0.2 * BOX[2]
