"""From video files to mouths."""

import cv2
import numpy as np
import pytest
import torch

from minvae_pyro.errors import UserError
from minvae_pyro.video import faces
from minvae_pyro.video.faces import FaceTrack, follow_face
from minvae_pyro.video.frames import read_frames
from minvae_pyro.video.mouth import read_mouth
from minvae_pyro.video.track import MouthTrack

# The middle of the lips (mean of both corners, upper and lower edge; median over the clip) and their width in
# pixels, as a face landmark model sees them that has nothing to do with the cascades.
LANDMARKS = {
    "grid/s1/train/bgbn8n.mkv": (155, 221, 39),
    "grid/s1/train/brim1a.mkv": (173, 204, 42),
    "grid/s1/train/lrbzzp.mkv": (153, 203, 36),
    "grid/s26/bgbsza.mpg": (162, 202, 34),
    "grid/s26/lrbi7p.mpg": (171, 201, 37),
    "grid/others/lbax4n.mpg": (196, 204, 40),
    "grid/others/lbbc2a.mpg": (189, 233, 44),
    "grid/others/lrwp9a.mpg": (189, 219, 44),
    "grid/others/sbia1a.mpg": (180, 209, 38),
    "wild/retalking_1.mp4": (394, 304, 71),
    "wild/tmsv_sp01_50fps_1080p.mp4": (959, 900, 185),
}


@pytest.mark.parametrize("name", LANDMARKS)
def test_lips_are_in_the_middle_of_the_crop(real_data, name):
    x, y, width = LANDMARKS[name]
    track = follow_face(read_frames(real_data / name))
    side = 0.45 * np.median(track.boxes[:, 2])
    assert track.found.all()
    np.testing.assert_allclose(np.median(track.lips, axis=0), (x, y), atol=0.07 * side)
    assert 0.5 < width / side < 0.7


@pytest.mark.parametrize("name", ["grid/s1/train/bgbn8n.mkv", "grid/s26/bgbsza.mpg"])
def test_real_mouth(real_data, name):
    track = read_mouth(real_data / name)
    assert track.crops.shape == (75, 67, 67)
    assert track.crops.dtype == torch.uint8
    assert track.found.all()
    torch.testing.assert_close(track.times, torch.arange(75, dtype=torch.float64) / 25, atol=1e-3, rtol=0)
    # What changes is the mouth: motion in the middle is well above that at the corners of the crop.
    motion = track.crops.double().diff(dim=0).abs().mean(dim=0)
    corners = torch.stack([motion[:12, :12], motion[:12, -12:], motion[-12:, :12], motion[-12:, -12:]])
    assert motion[24:50, 18:50].mean() > 1.5 * corners.mean()


def test_a_mouth_does_not_shake_with_the_camera(tmp_path, make_video, grid_pictures):
    """A camera that sways by 10 pixels changes the crops less than speech does."""

    def shift(picture, number):
        way = np.array([[1, 0, 5 * np.sin(number / 5)], [0, 1, 5 * np.cos(number / 7)]])
        return cv2.warpAffine(picture, way, (360, 288), borderMode=cv2.BORDER_REPLICATE)

    still = read_mouth(make_video(tmp_path / "still.mp4", [grid_pictures[0]] * 50)).crops.double()
    pictures = [shift(grid_pictures[0], number) for number in range(50)]
    swaying = read_mouth(make_video(tmp_path / "swaying.mp4", pictures)).crops.double()
    speech = read_mouth(make_video(tmp_path / "speech.mp4", grid_pictures[10:60])).crops.double()

    def change(crops):
        return (crops - crops.mean(dim=0)).square().mean().sqrt()

    assert change(still) < 1.0
    assert change(swaying) < 0.6 * change(speech)


def test_frames_without_a_face_are_black_and_marked(tmp_path, make_video, grid_pictures):
    pictures = list(grid_pictures[:60])
    pictures[20:40] = [np.full((288, 360), 30, np.uint8)] * 20
    track = read_mouth(make_video(tmp_path / "v.mp4", pictures))
    assert track.found.tolist() == [not 20 <= number < 40 for number in range(60)]
    assert (track.crops[20:40] == 0).all()
    assert (track.crops[track.found].double().mean(dim=(1, 2)) > 30).all()


def test_a_video_without_a_face_still_has_times(tmp_path, make_video):
    street = np.random.default_rng(0).integers(0, 255, (240, 320), dtype=np.uint8)
    track = read_mouth(make_video(tmp_path / "v.mp4", [street] * 30))
    assert len(track.times) == 30
    assert not track.found.any()
    assert (track.crops == 0).all()


def test_the_crop_is_nine_twentieths_of_the_face(tmp_path, make_video, monkeypatch):
    """On a slope of 0.7 grey levels a pixel, a face of 120 pixels gives a crop of 54 around its lips."""
    still = FaceTrack(np.zeros(1), np.array([[150.0, 100, 120]]), np.array([[160.0, 140]]), np.ones(1, dtype=bool))
    monkeypatch.setattr(faces, "follow_face", lambda frames: still)
    slope = np.broadcast_to(0.7 * (np.arange(320) + 0.5), (240, 320)).round().astype(np.uint8)
    crop = read_mouth(make_video(tmp_path / "v.mp4", [slope], codec="mpeg1video")).crops[0].double()
    expected = 0.7 * (160 + 54 * ((torch.arange(67) + 0.5) / 67 - 0.5))
    assert (crop.mean(dim=0) - expected).abs().max() < 1.5


def test_a_mouth_beyond_the_rim_is_not_found(tmp_path, make_video, monkeypatch):
    """A face that sinks out of the picture: from frame 6 on its lips are below the last row."""
    times, boxes = np.arange(10) / 25, np.tile([160.0, 200.0, 80.0], (10, 1))
    lips = np.stack([np.full(10, 160.0), 234.0 + np.arange(10)], axis=1)
    sinking = FaceTrack(times, boxes, lips, np.ones(10, dtype=bool))
    monkeypatch.setattr(faces, "follow_face", lambda frames: sinking)
    track = read_mouth(make_video(tmp_path / "v.mp4", [np.full((240, 320), 90, np.uint8)] * 10))
    assert track.found.tolist() == [True] * 6 + [False] * 4
    assert (track.crops[6:] == 0).all()
    assert (track.crops[:6] > 80).all()


@pytest.mark.parametrize("shape", [(67, 67), (96, 96), (80, 92)])
def test_cropped_mouths_are_recognised(tmp_path, make_video, real_data, shape):
    crops = read_mouth(real_data / "grid/s1/train/bgbn8n.mkv").crops[:30]
    height, width = shape
    pictures = [np.pad(cv2.resize(c.numpy(), (height, height)), ((0, 0), (0, width - height))) for c in crops]
    track = read_mouth(make_video(tmp_path / "lips.mp4", pictures, 30))
    assert track.found.all()
    torch.testing.assert_close(track.times, torch.arange(30, dtype=torch.float64) / 30, atol=1e-4, rtol=0)
    if shape == (67, 67):
        assert (track.crops.double() - crops.double()).abs().mean() < 2
    refused = read_mouth(tmp_path / "lips.mp4", cropped=False)
    assert not refused.found.any()


def test_a_large_picture_of_a_mouth_when_asked_for(tmp_path, make_video):
    slope = np.broadcast_to(np.linspace(0, 250, 480), (480, 480)).astype(np.uint8)
    path = make_video(tmp_path / "v.mp4", [slope] * 3)
    assert not read_mouth(path).found.any()
    track = read_mouth(path, cropped=True)
    assert track.found.all()
    expected = torch.linspace(0, 250, 480).reshape(1, 1, -1)
    expected = torch.nn.functional.interpolate(expected, 67, mode="linear")[0, 0]
    assert (track.crops[0].double().mean(dim=0) - expected).abs().max() < 4


def test_half_a_video_gives_half_a_track(tmp_path, real_data):
    whole = (real_data / "grid/s1/train/bgbn8n.mkv").read_bytes()
    path = tmp_path / "half.mkv"
    path.write_bytes(whole[: len(whole) // 2])
    track = read_mouth(path)
    assert 20 < len(track.times) < 60
    assert track.found.all()


def test_what_cannot_be_read_is_refused(tmp_path):
    path = tmp_path / "v.mp4"
    path.write_bytes(b"nothing of a video")
    for file in (path, tmp_path / "missing.mp4", tmp_path / "missing.mat", tmp_path):
        with pytest.raises(UserError, match=str(file)):
            read_mouth(file)


def test_lip_files_are_read_too(tmp_path):
    np.save(tmp_path / "lips.npy", np.full((5, 67, 67), 9, np.uint8))
    track = read_mouth(tmp_path / "lips.npy")
    assert (track.crops == 9).all()
    assert len(track.times) == 5


def test_a_track_whose_parts_disagree_is_refused():
    with pytest.raises(ValueError, match="same frames"):
        MouthTrack(torch.zeros(3, 67, 67), torch.zeros(4), torch.zeros(4, dtype=torch.bool))


def test_a_wide_crop_is_fitted_in_whole(tmp_path, make_video):
    """Twice as wide as high: all columns are kept, rows above and below repeat the rim."""
    wide = np.full((64, 128), 100, np.uint8)
    wide[:, :16], wide[:, -16:] = 200, 30
    crop = read_mouth(make_video(tmp_path / "v.mp4", [wide] * 2), cropped=True).crops[0].double()
    profile = crop.mean(dim=0)
    assert profile[2] > 180
    assert abs(profile[33] - 100) < 5
    assert profile[-3] < 50
    assert crop.std(dim=0).max() < 10


def test_progress_counts_pictures_that_are_followed_and_cut(real_data):
    said = []
    read_mouth(real_data / "grid/s1/train/bgbn8n.mkv", progress=lambda done, total: said.append((done, total)))
    assert said == [(number, 150) for number in range(1, 151)]
