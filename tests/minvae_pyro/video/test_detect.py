"""The cascades on single pictures."""

import cv2
import numpy as np
import pytest

from minvae_pyro.video.detect import FaceDetector


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0, 5.0])
def test_a_face_is_found_at_any_size_of_picture(grid_pictures, scale):
    picture = cv2.resize(grid_pictures[0], None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    found = FaceDetector()(picture)
    assert found.shape == (1, 5)
    x, y, side = found[0, :3] / scale
    # Eyes at (124, 153) and (170, 153), mouth at (155, 221): the box holds the face.
    assert abs(x - 153) < 10
    assert abs(y - 174) < 12
    assert 120 < side < 165


def test_the_largest_face_comes_first_and_small_ones_can_be_passed_over(grid_pictures):
    large = grid_pictures[0]
    small = cv2.resize(large, None, fx=0.6, fy=0.6)
    scene = np.full((288, 600), 60, np.uint8)
    scene[: small.shape[0], : small.shape[1]] = small
    scene[:, 240:] = large
    detect = FaceDetector()
    both = detect(scene)
    assert len(both) == 2
    assert both[0, 2] > 1.3 * both[1, 2]
    assert both[0, 0] > 300 > both[1, 0]
    assert len(detect(scene, smallest=110.0)) == 1


@pytest.mark.parametrize("light", [0.15, 0.4, 1.5])
def test_a_face_is_found_in_any_light(grid_pictures, light):
    picture = grid_pictures[0]
    usual, found = (FaceDetector()(np.clip(gain * picture, 0, 255).astype(np.uint8)) for gain in (1.0, light))
    np.testing.assert_allclose(found[0, :3], usual[0, :3], atol=8)


def test_a_lit_face_in_a_dark_room(grid_pictures):
    scene = np.full((720, 720), 2, np.uint8)
    scene[200:400, 200:400] = grid_pictures[0][60:260, 50:250]
    assert scene.mean() < 20
    assert len(FaceDetector()(scene)) == 1


def test_nothing_in_a_blank_picture():
    assert FaceDetector()(np.full((288, 360), 128, np.uint8)).shape == (0, 5)


@pytest.mark.parametrize("shape", [(16, 16384), (16384, 16), (1, 1), (23, 23), (480, 20)])
def test_a_picture_without_room_for_a_face_has_none(shape):
    assert FaceDetector()(np.full(shape, 100, np.uint8)).shape == (0, 5)
