"""Lips that others have cut come upright and in grey levels, whatever way they were stored."""

import h5py
import numpy as np
import pytest
import torch
from scipy.fft import dctn

from minvae_pyro.errors import UserError
from minvae_pyro.video.lips import load_lips


@pytest.fixture
def pictures():
    """Three pictures that tell up from left, with the range of real ones."""
    down, across = np.mgrid[:67, :67]
    return np.stack([40 + 2 * down + np.sin(across / (5 + number)) * 15 for number in range(3)]).round()


def columns(pictures):
    return pictures.transpose(0, 2, 1).reshape(len(pictures), -1)


def mat_dct(path, pictures):
    with h5py.File(path, "w") as file:
        file["data"] = columns(dctn(pictures, axes=(1, 2), norm="ortho")).astype(np.float32)


def mat_pixels_turned(path, pictures):
    with h5py.File(path, "w") as file:
        file["note"] = np.zeros(3)
        file["lips"] = columns(pictures).T.astype(np.uint8)


def npy_unit(path, pictures):
    np.save(path, (columns(pictures).T / 255).astype(np.float32))


def npy_bytes(path, pictures):
    np.save(path, columns(pictures).astype(np.uint8))


def npy_pictures(path, pictures):
    np.save(path, pictures)


@pytest.mark.parametrize(
    ("suffix", "store"),
    [
        (".mat", mat_dct),
        (".mat", mat_pixels_turned),
        (".npy", npy_unit),
        (".npy", npy_bytes),
        (".npy", npy_pictures),
    ],
)
def test_ways_to_store_lips(tmp_path, pictures, suffix, store):
    store(tmp_path / f"lips{suffix}", pictures)
    track = load_lips(tmp_path / f"lips{suffix}", frames_per_second=25)
    assert track.crops.dtype == torch.uint8
    np.testing.assert_allclose(track.crops.numpy(), pictures, atol=1)
    np.testing.assert_allclose(track.times.numpy(), [0, 0.04, 0.08])
    assert track.found.all()


def no_file(path):
    return "no such"


def no_array(path):
    path.write_bytes(b"these are no lips")
    return "cannot read"


def empty(path):
    path.write_bytes(b"")
    return "cannot read"


def other_size(path):
    np.save(path, np.zeros((10, 4096)))
    return r"shape \(10, 4096\)"


def no_numbers(path):
    np.save(path, np.full((3, 4489), np.nan))
    return "not numbers"


def no_pictures(path):
    np.save(path, np.zeros((0, 4489)))
    return "no pictures"


def words(path):
    np.save(path, np.full((3, 4489), "lips"))
    return "not lip pictures"


def objects(path):
    np.save(path, np.array([{"lips": 1}], dtype=object), allow_pickle=True)
    return "cannot read"


BAD_LIPS = [no_file, no_array, empty, other_size, no_numbers, no_pictures, words, objects]


@pytest.mark.parametrize("write", BAD_LIPS)
def test_bad_lip_file_is_one_clear_line(tmp_path, write):
    path = tmp_path / "lips.npy"
    message = write(path)
    with pytest.raises(UserError, match=message) as caught:
        load_lips(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [None, "text", "no arrays"])
def test_bad_mat_is_one_clear_line(tmp_path, content):
    path = tmp_path / "lips.mat"
    if content == "text":
        path.write_bytes(b"MATLAB 5.0 MAT-file, an older kind" * 10)
    elif content == "no arrays":
        h5py.File(path, "w").close()
    with pytest.raises(UserError, match=r"lips\.mat"):
        load_lips(path)


@pytest.mark.parametrize("name", ["01M/lips/sa1.mat", "08F/lips/si519.mat", "demo/lips.npy"])
def test_real_lips_lie_flat(real_data, name):
    """A mouth is a dark line from left to right: rows differ in brightness far more than columns."""
    crops = load_lips(real_data / "tcd_timit" / name).crops.double()
    assert len(crops) > 100
    assert 60 < crops.mean() < 200
    middle = crops.mean(dim=0)
    assert middle[15:52, 15:52].mean(dim=1).std() > 2 * middle[15:52, 15:52].mean(dim=0).std()
    # And neighbours in time look alike.
    assert crops.diff(dim=0).abs().mean() < 8
