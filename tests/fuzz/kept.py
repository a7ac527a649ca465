"""Damaged folders of an evaluation: kept rows and mouths changed; results are as before, or refused in one line."""

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import av
import numpy as np
import pandas as pd
import torch

from minvae_pyro.audio.files import Sound, write_sound
from minvae_pyro.evaluation.experiment import evaluate, read_table
from minvae_pyro.evaluation.mixtures import Mixture
from minvae_pyro.evaluation.videos import read_once
from minvae_pyro.synthetic.talker import speak
from minvae_pyro.video.track import MouthTrack
from tests.fuzz.damage import TEXTS, bytes_mutated, damaged_copies, mutated
from tests.fuzz.outcome import report

SECONDS = 60.0


def recordings(folder: Path) -> None:
    """Two clips of half a second, a noise, what another system made of the mixtures, and a film without a face."""
    for name in ("clips", "estimates"):
        (folder / name).mkdir()
    for number in range(2):
        speech = speak(0.5, number)
        write_sound(folder / "clips" / f"{number}.wav", Sound(speech[None], 16000))
        write_sound(folder / "estimates" / f"{number}.wav", Sound(0.9 * speech[None], 16000))
    generator = torch.Generator().manual_seed(0)
    write_sound(folder / "noise.wav", Sound(0.1 * torch.randn(1, 16000, generator=generator), 16000))
    random = np.random.default_rng(0)
    with av.open(str(folder / "film.mkv"), "w") as container:
        film = container.add_stream("mjpeg", rate=25)
        film.width, film.height, film.pix_fmt = 64, 48, "yuvj420p"
        for _ in range(5):
            picture = random.integers(0, 255, (48, 64), dtype=np.uint8)
            container.mux(film.encode(av.VideoFrame.from_ndarray(picture, format="gray")))
        container.mux(film.encode(None))


def table(folder: Path, output: Path) -> pd.DataFrame:
    """What an evaluation finds, but for what it takes to read the clock."""
    mixtures = [Mixture(str(n), folder / "clips" / f"{n}.wav", folder / "noise.wav", 0, 5.0) for n in range(2)]
    found = evaluate(mixtures, [], output, estimates={"others": folder / "estimates"}, sounds=False, overwrite=True)
    pd.testing.assert_frame_equal(read_table(output), found)
    return found.drop(columns=["elapsed", "real_time_factor"])


def mouth(folder: Path, output: Path) -> MouthTrack:
    """The kept mouth of the film."""
    return read_once(folder / "film.mkv", output / "mouths")


def parts(track: MouthTrack) -> dict[str, torch.Tensor]:
    """Its tensors by name."""
    return {"crops": track.crops, "times": track.times, "found": track.found}


def whole(folder: Path) -> Path:
    """A folder of results, beside its recordings and what is expected of it."""
    recordings(folder)
    output = folder / "whole"
    table(folder, output).to_pickle(folder / "table.pickle")
    torch.save(parts(mouth(folder, output)), folder / "mouth.pt")
    return output


def damaged(seed: int, folder: Path, number: int) -> Iterator[tuple[str, Path]]:
    """Damaged folders of results, each with what was done to it; one lasts until the next one is asked for.

    Args:
        seed: decides all.
        folder: for the folders.
        number: of them.
    """
    original = whole(folder)
    use(original)  # what is imported and compiled now need not be in every process
    yield from damaged_copies("kept", original, _damage, seed, number)


def _damage(folder: Path, random: Random) -> str:
    files = sorted([*(folder / "jobs").iterdir(), *(folder / "mouths").iterdir()])
    file = random.choice([*files, folder / "scores.parquet"])
    match random.randrange(7):
        case 0 | 1:
            name, content = bytes_mutated(file.read_bytes(), random)
            file.write_bytes(content)
        case 2:
            file.unlink()
            name = "removed"
        case 3:
            other = random.choice(files)
            file.write_bytes(other.read_bytes())
            name = f"is {other.name}"
        case 4:
            file.unlink()
            file.mkdir()
            name = "is a folder"
        case 5:
            file.write_bytes(random.choice((*TEXTS, "[" * 100_000, "[]", "{}", "NaN", "9" * 5000)).encode())
            name = "is text"
        case _:
            file = random.choice([one for one in files if one.suffix == ".json"])
            name, changed = mutated(json.loads(file.read_text()), random)
            file.write_text(json.dumps(changed))
    return f"{file.name} {name}"


def use(path: Path) -> None:
    """Evaluate again in a folder of results; it must find what it found before."""
    found = table(path.parent, path)
    pd.testing.assert_frame_equal(found, pd.read_pickle(path.parent / "table.pickle"))
    expected, seen = torch.load(path.parent / "mouth.pt", weights_only=True), parts(mouth(path.parent, path))
    if not all(torch.equal(expected[name], seen[name]) for name in expected):
        raise AssertionError("another mouth than before")


def run(seed: int, number: int) -> int:
    """Print what becomes of so many damaged folders, and return the number of faults."""
    with tempfile.TemporaryDirectory() as folder:
        return report(f"kept results, seed {seed}", damaged(seed, Path(folder), number), use, SECONDS)


if __name__ == "__main__":
    sys.exit(min(1, run(int(sys.argv[1]), int(sys.argv[2]))))
