"""Pictures in a file are what pictures in memory are."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from minvae_pyro.video import room as module
from minvae_pyro.video.align import on_frames
from minvae_pyro.video.room import Room
from minvae_pyro.video.track import MouthTrack

SHAPE = (40, 67, 67)


def _resident(room: Room) -> int:
    """Kilobytes of the mapping that are in the memory of this process."""
    place = f"{room.pictures.ctypes.data:x}-"
    found = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        found = found or line.startswith(place)
        if found and line.startswith("Rss:"):
            return int(line.split()[1])
    raise AssertionError("the pictures are in no mapping")


def filled(room: Room) -> MouthTrack:
    pictures = np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)
    room.pictures[:] = pictures
    times = torch.arange(40, dtype=torch.float64) / 25
    return MouthTrack(torch.from_numpy(room.pictures), times, torch.ones(40, dtype=torch.bool), room)


def test_pictures_that_were_left_are_there_when_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    in_memory = filled(Room(SHAPE))
    monkeypatch.setattr(module, "_LARGE", 0)
    room = Room(SHAPE)
    assert not room.pictures.any()
    in_file = filled(room)
    if Path("/proc/self/smaps").exists():
        assert _resident(room) > 150
        room.leave()
        assert _resident(room) == 0
    times = torch.arange(0.0, 1.6, 0.033, dtype=torch.float64)
    seen, expected = (on_frames(track.follow(None), times, 1.6) for track in (in_file, in_memory))
    assert torch.equal(seen.select(slice(5, 9)).crops, expected.select(slice(5, 9)).crops)
    assert torch.equal(seen.crops, expected.crops)
    assert torch.equal(in_file.crops, in_memory.crops)
    again = pickle.loads(pickle.dumps(in_file))
    assert torch.equal(again.crops, in_memory.crops)
    assert again.room is None


def test_a_full_disk_leaves_them_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_LARGE", 0)
    monkeypatch.setattr(os, "posix_fallocate", full)
    room = Room(SHAPE)
    room.leave()
    assert torch.equal(filled(room).crops, filled(Room(SHAPE)).crops)
