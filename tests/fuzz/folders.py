"""Damaged prepared folders: settings, manifest and features changed; reading and a step of training must bear each."""

import csv
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save

from minvae_pyro.audio.files import Sound, write_sound
from minvae_pyro.audio.stft import STFT
from minvae_pyro.corpora.loader import CorpusData
from minvae_pyro.corpora.prepare import prepare
from minvae_pyro.registry.build import build
from minvae_pyro.training.plan import TrainingPlan
from tests.fuzz.damage import TEXTS, bytes_mutated, damaged_copies, mutated
from tests.fuzz.outcome import report

SECONDS = 60.0
_CLIPS = 3


def whole(folder: Path) -> Path:
    """A prepared folder of three clips of a second and less, of noise, with a mouth drawn at random."""
    recordings, generator = folder / "recordings", torch.Generator().manual_seed(0)
    recordings.mkdir()
    for clip in range(_CLIPS):
        samples = 16000 - 4000 * clip
        write_sound(recordings / f"{clip}.wav", Sound(0.1 * torch.randn(1, samples, generator=generator), 16000))
    prepared = folder / "whole"
    entries = prepare("folder", recordings, prepared, STFT()).entries
    for entry in entries[:2]:
        path = prepared / entry.file
        with safe_open(path, framework="pt") as file:
            described = {**json.loads(file.metadata()["entry"]), "has_mouth": True, "faces_found": 1.0}
        mouth = torch.randint(0, 256, (entry.frames, 67, 67), dtype=torch.uint8, generator=generator)
        tensors = {**load_file(path), "mouth": mouth, "mouth_seen": torch.ones(entry.frames, dtype=torch.bool)}
        path.write_bytes(save(tensors, metadata={"entry": json.dumps(described)}))
    # entries are taken from the features: the manifest is written anew
    (prepared / "manifest.csv").unlink()
    prepare("folder", recordings, prepared, STFT())
    return prepared


def damaged(seed: int, folder: Path, number: int) -> Iterator[tuple[str, Path]]:
    """Damaged prepared folders, each with what was done to it; one lasts until the next one is asked for.

    Args:
        seed: decides all.
        folder: for the folders.
        number: of them.
    """
    original = whole(folder)
    use(original)  # what is imported and compiled now need not be in every process
    yield from damaged_copies("folder", original, _damage, seed, number)


def _damage(folder: Path, random: Random) -> str:
    file = folder / random.choice(("settings.json", "settings.json", "manifest.csv", "manifest.csv", "features"))
    match random.randrange(6):
        case 0:
            if file.is_dir():
                file = random.choice(sorted(file.iterdir()))
            name, content = bytes_mutated(file.read_bytes(), random)
            file.write_bytes(content)
            return f"{file.name} {name}"
        case 1:
            shutil.rmtree(file) if file.is_dir() else file.unlink()
            return f"{file.name} removed"
        case _ if file.is_dir():
            return _features(random.choice(sorted(file.iterdir())), random)
        case _:
            return _json(file, random) if file.suffix == ".json" else _table(file, random)


def _json(file: Path, random: Random) -> str:
    settings = json.loads(file.read_text())
    if random.random() < 0.4:
        key = random.choice(("n_fft", "hop", "sample_rate"))
        settings["stft"][key] = random.choice((256, 500, 512, 534, 8000, 16000, 22050, 2048))
        name = f"{key} {settings['stft'][key]}"
    else:
        name, settings = mutated(settings, random)
    file.write_text(json.dumps(settings))
    return f"{file.name}: {name}"


def _table(file: Path, random: Random) -> str:
    rows = list(csv.reader(file.read_text().splitlines()))
    row = random.randrange(len(rows))
    column = random.randrange(len(rows[row]))
    match random.randrange(4):
        case 0:
            del rows[row][column]
        case 1:
            rows.append(list(rows[row]))
        case 2:
            del rows[row]
        case _:
            rows[row][column] = random.choice((*TEXTS[:-1], "nan", "-1", "0", "1e12", "9" * 30, "True", "False"))
    with file.open("w", newline="") as opened:
        csv.writer(opened).writerows(rows)
    return f"{file.name}: row {row}, column {column}"


def _features(file: Path, random: Random) -> str:
    tensors: dict[str, Any] = load_file(file)
    with safe_open(file, framework="pt") as opened:
        metadata = dict(opened.metadata())
    key = random.choice(sorted(tensors))
    tensor = tensors[key]
    match kind := random.choice(("drop", "cut", "nan", "type", "negative", "flat", "entry")):
        case "drop":
            del tensors[key]
        case "cut":
            tensors[key] = tensor[1:].clone()
        case "nan" | "negative" if tensor.is_floating_point():
            tensor[0] = float("nan") if kind == "nan" else -1.0
        case "type":
            tensors[key] = tensor.to(random.choice((torch.float16, torch.int64, torch.float64)))
        case "flat":
            tensors[key] = tensor.reshape(-1)
        case _:
            metadata["entry"] = random.choice(("", "{", "[]", "[" * 3000, '{"stft": {}}', "null"))
    file.write_bytes(save(tensors, metadata=metadata))
    return f"{file.name}: {kind} {key}"


def use(path: Path) -> None:
    """Read a folder, load all of its batches and take the loss of each; it must be a number."""
    data = CorpusData([str(path)], [str(path)], batch_size=2, crop_frames=None)
    torch.manual_seed(0)
    plan = TrainingPlan(*build({"prior": "MinVAE", "guide": "MixtureGuide"}))
    lost = [plan(batch) for batch in (*data.train_dataloader(), *data.val_dataloader())]
    if not torch.stack(lost).isfinite().all():
        raise AssertionError("the loss is no number, and nobody said so")


def run(seed: int, number: int) -> int:
    """Print what becomes of so many damaged folders, and return the number of faults."""
    with tempfile.TemporaryDirectory() as folder:
        return report(f"prepared folders, seed {seed}", damaged(seed, Path(folder), number), use, SECONDS)


if __name__ == "__main__":
    sys.exit(min(1, run(int(sys.argv[1]), int(sys.argv[2]))))
