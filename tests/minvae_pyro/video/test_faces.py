"""Whose face is followed, where it is said to be, and when it is said to be away."""

import gc
import weakref

import cv2
import numpy as np
import pytest

from minvae_pyro.video import faces
from minvae_pyro.video.faces import follow_face
from minvae_pyro.video.frames import Frame

LIPS = (0.02, 0.33)


@pytest.fixture
def follow(monkeypatch):
    """Follow the faces of a script, frame number -> list of (x, y, side), and not what a cascade sees."""

    def run(script, frames=75, rate=25.0, detect_every=5, lips=LIPS):
        class Scripted:
            def __call__(self, picture, smallest=0.0):
                there = sorted(script(int(picture[0, 0])), key=lambda box: -box[2])
                return np.array([(*box, *lips) for box in there if box[2] >= smallest]).reshape(-1, 5)

        monkeypatch.setattr(faces, "FaceDetector", Scripted)
        pictures = (Frame(n / rate, np.full((288, 360), n, np.uint8)) for n in range(frames))
        return follow_face(pictures, detect_every=detect_every)

    return run


def test_a_face_that_stays(follow):
    track = follow(lambda n: [(100, 120, 80)])
    np.testing.assert_allclose(track.times, np.arange(75) / 25)
    assert track.found.all()
    np.testing.assert_allclose(track.boxes, np.broadcast_to([100, 120, 80], (75, 3)))
    np.testing.assert_allclose(track.lips, np.broadcast_to([100 + 0.02 * 80, 120 + 0.33 * 80], (75, 2)))


def test_tremble_of_the_detector_is_smoothed(follow):
    noise = np.random.default_rng(0).normal(scale=2.0, size=(150, 3))
    track = follow(lambda n: [(100 + noise[n, 0], 120 + noise[n, 1], 80 + noise[n, 2])], frames=150)
    # From one frame to the next, where the eye sees jitter, next to nothing is left.
    assert np.abs(np.diff(track.boxes, axis=0)).max() < 0.1
    np.testing.assert_allclose(track.boxes.mean(axis=0), [100, 120, 80], atol=1.0)


def test_a_slow_walk_is_followed(follow):
    track = follow(lambda n: [(60 + n, 120, 80)], frames=150)
    middle = slice(38, 112)
    np.testing.assert_allclose(track.boxes[middle, 0], 60 + np.arange(150)[middle], atol=1.0)


@pytest.mark.parametrize("gone", [(20, 40), (0, 23), (51, 75), (33, 50)])
@pytest.mark.parametrize("rate", [25.0, 50.0])
def test_the_span_without_a_face_is_marked_to_the_frame(follow, gone, rate):
    track = follow(lambda n: [] if gone[0] <= n < gone[1] else [(100, 120, 80)], rate=rate)
    expected = np.ones(75, bool)
    # A gap of up to 0.4 s between sightings is bridged.
    inner = gone[0] > 0 and gone[1] < 75
    if not (inner and (gone[1] - gone[0] + 1) / rate <= 0.4 + 0.5 / rate):
        expected[gone[0] : gone[1]] = False
    np.testing.assert_array_equal(track.found, expected)
    assert np.isnan(track.boxes[~expected]).all()
    assert np.isnan(track.lips[~expected]).all()


def test_one_missed_look_is_bridged(follow):
    track = follow(lambda n: [] if n == 35 else [(100, 120, 80)])
    assert track.found.all()


@pytest.mark.parametrize("every", [1, 3, 5, 20])
def test_fewer_detections_find_the_same(follow, every):
    track = follow(lambda n: [(100, 120, 80)], detect_every=every, frames=74)
    assert track.found.all()
    np.testing.assert_allclose(track.boxes[40], [100, 120, 80])


def test_the_larger_of_two_who_stay(follow):
    track = follow(lambda n: [(80, 100, 60), (250, 100, 80)])
    np.testing.assert_allclose(track.boxes[:, 0], 250)


def test_one_who_stays_before_a_larger_passer_by(follow):
    track = follow(lambda n: [(80, 100, 80)] + ([(250, 100, 100)] if 30 <= n < 45 else []))
    np.testing.assert_allclose(track.boxes[:, 0], 80)


def test_a_cut_to_another_place(follow):
    track = follow(lambda n: [(80, 100, 80)] if n < 40 else [(250, 110, 90)])
    np.testing.assert_allclose(track.boxes[:36, 0], 80)
    np.testing.assert_allclose(track.boxes[40:, 0], 250)
    positions = track.boxes[track.found, 0]
    assert set(np.round(positions)) == {80.0, 250.0}


def test_somebody_small_is_no_stand_in(follow):
    track = follow(lambda n: [(80, 100, 80)] if n < 40 else [(250, 110, 30)])
    assert track.found[:36].all()
    assert not track.found[40:].any()


def test_a_glimpse_is_no_face(follow):
    track = follow(lambda n: [(80, 100, 80)] if n == 35 else [])
    assert not track.found.any()


def test_lips_that_are_never_recognised_are_where_lips_usually_are(follow):
    usual = follow(lambda n: [(100, 120, 80)], lips=(np.nan, np.nan))
    np.testing.assert_allclose(usual.lips[0], np.array([100, 120]) + 80 * faces.USUAL_LIPS)
    assert 0.25 < faces.USUAL_LIPS[1] < 0.4


def test_a_chin_taken_for_a_mouth_now_and_then_does_not_move_the_lips(monkeypatch):
    looks = iter(range(100))

    class Scripted:
        def __call__(self, picture, smallest=0.0):
            chin = next(looks) % 4 == 3
            return np.array([[100.0, 120.0, 80.0, 0.02, 0.5 if chin else 0.33]])

    monkeypatch.setattr(faces, "FaceDetector", Scripted)
    track = follow_face(Frame(n / 25, np.zeros((288, 360), np.uint8)) for n in range(75))
    np.testing.assert_allclose(track.lips, np.broadcast_to([101.6, 146.4], (75, 2)))


@pytest.mark.parametrize("frames", [0, 1, 2, 6])
def test_short_videos(follow, frames):
    track = follow(lambda n: [(100, 120, 80)], frames=frames)
    assert track.boxes.shape == (frames, 3)
    assert track.found.all()


def test_no_more_than_a_handful_of_pictures_is_held():
    alive: set[int] = set()
    most = 0

    def pictures():
        nonlocal most
        for number in range(60):
            picture = np.zeros((48, 64), np.uint8)
            alive.add(number)
            weakref.finalize(picture, alive.discard, number)
            yield Frame(number / 25, picture)
            del picture
            most = max(most, len(alive))

    follow_face(pictures(), detect_every=5)
    gc.collect()
    assert not alive
    assert most <= 8


@pytest.mark.parametrize("shape", [(1, 1), (8, 8), (16, 900), (3, 67)])
def test_pictures_too_small_for_a_face(shape):
    noise = np.random.default_rng(0).integers(0, 255, (7, *shape), dtype=np.uint8)
    track = follow_face(Frame(n / 25, picture) for n, picture in enumerate(noise))
    assert track.times.shape == (7,)
    assert not track.found.any()


def path_of_head(number):
    """Nods and sways, 12 pixels and more within half a second."""
    return np.array([8 * np.sin(number / 6), 5 * np.sin(number / 4 + 1)])


def test_a_real_head_that_moves_is_followed_without_lag(grid_pictures):
    still = np.pad(grid_pictures[0], 16, mode="edge")

    def frames(path):
        for number in range(75):
            x, y = np.round(path(number)).astype(int) + 16
            yield Frame(number / 25, np.ascontiguousarray(still[16 - y + 16 :, 16 - x + 16 :][:280, :350]))

    track = follow_face(frames(path_of_head))
    assert track.found.all()
    way = np.array([np.round(path_of_head(number)) for number in range(75)])
    rest = track.lips - way
    # A hundredth of the 63-pixel crop, and a third of that from frame to frame.
    assert (rest - rest.mean(axis=0)).std(axis=0).max() < 0.8
    assert np.diff(rest, axis=0).std(axis=0).max() < 0.2
    assert way.std(axis=0).min() > 3


def test_a_covered_camera_is_noticed_in_a_real_video(grid_pictures):
    covered = slice(30, 50)
    frames = []
    for number, picture in enumerate(grid_pictures):
        hidden = covered.start <= number < covered.stop
        frames.append(Frame(number / 25, np.full_like(picture, 20) if hidden else picture))
    found = follow_face(frames).found
    assert not found[covered].any()
    assert found[:30].all()
    assert found[50:].all()


def test_two_real_people(grid_pictures):
    small = [cv2.resize(picture, None, fx=0.6, fy=0.6) for picture in grid_pictures[:26]]
    scene = [np.full((288, 600), 60, np.uint8) for _ in small]
    for canvas, one, other in zip(scene, grid_pictures, small, strict=False):
        canvas[: other.shape[0], : other.shape[1]] = other
        canvas[:, 240:] = one
    track = follow_face(Frame(number / 25, picture) for number, picture in enumerate(scene))
    assert track.found.all()
    assert track.lips[:, 0].min() > 350
