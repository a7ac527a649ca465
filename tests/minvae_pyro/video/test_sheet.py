"""The contact sheet shows the crops themselves."""

import cv2
import numpy as np
import pytest
import torch

from minvae_pyro.errors import UserError
from minvae_pyro.video.sheet import contact_sheet
from minvae_pyro.video.track import MouthTrack


def noise(frames):
    crops = torch.randint(0, 256, (frames, 67, 67), dtype=torch.uint8)
    times = torch.arange(frames, dtype=torch.float64) / 25
    return MouthTrack(crops, times, torch.ones(frames, dtype=torch.bool))


def tiles_of(page):
    """Cut the sheet back into its tiles, rows of 15."""
    rows = (page.shape[0] - 2) // 81
    return [page[2 + 81 * r : 69 + 81 * r, 2 + 69 * c : 69 + 69 * c] for r in range(rows) for c in range(15)]


@pytest.mark.parametrize("frames", [1, 15, 16, 40])
def test_every_crop_is_on_the_sheet(tmp_path, frames):
    track = noise(frames)
    path = contact_sheet(track, tmp_path / "sheet.png")
    tiles = tiles_of(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    for tile, crop in zip(tiles, track.crops, strict=False):
        np.testing.assert_array_equal(tile, crop.numpy())
    assert len(tiles) == -(-frames // 15) * 15
    assert all((tile == 255).all() for tile in tiles[frames:])
    assert list(tmp_path.iterdir()) == [path]


def test_a_long_track_is_thinned_evenly(tmp_path):
    track = noise(301)
    path = contact_sheet(track, tmp_path / "sheet.png", tiles=31)
    tiles = tiles_of(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    for number in range(31):
        np.testing.assert_array_equal(tiles[number], track.crops[10 * number].numpy())


def test_frames_without_a_mouth_are_crossed_out(tmp_path):
    track = noise(2)
    track.found[1] = False
    track.crops[1] = 0
    tiles = tiles_of(cv2.imread(str(contact_sheet(track, tmp_path / "s.png")), cv2.IMREAD_GRAYSCALE))
    assert (np.diag(tiles[1]) > 60).all()
    assert (np.diag(tiles[1][:, ::-1]) > 60).all()
    assert (tiles[1] == 0).mean() > 0.8


def test_an_empty_track_gives_an_empty_sheet(tmp_path):
    assert cv2.imread(str(contact_sheet(noise(0), tmp_path / "sheet.png"))).min() == 255


def test_a_file_is_kept_unless_asked(tmp_path):
    path = tmp_path / "sheet.png"
    path.write_text("mine")
    with pytest.raises(UserError, match="exists"):
        contact_sheet(noise(1), path)
    assert path.read_text() == "mine"
    contact_sheet(noise(1), path, overwrite=True)
    assert cv2.imread(str(path)) is not None


def test_a_folder_that_is_missing_is_refused(tmp_path):
    with pytest.raises(UserError, match="cannot write"):
        contact_sheet(noise(1), tmp_path / "nowhere" / "sheet.png")
    assert not list(tmp_path.iterdir())
