"""Damaged checkpoints: descriptions, weights and bytes changed; loading and a short enhancement must bear each."""

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor

import minvae_pyro
from minvae_pyro.checkpoints.checkpoint import checkpoint_file, describe
from minvae_pyro.video.track import MouthTrack
from tests.fuzz.damage import DEEP, bytes_mutated, mutated
from tests.fuzz.outcome import report

KEY = "minvae_pyro"
BASES = ("min-vae", "a-vae-s1", "min-vae-v2", "a-dkf", "av-cvae", "sw-vae", "min-vae-s1")
SECONDS = 60.0
"""Longer than this is a fault; a healthy case takes a fifth of a second."""


def damaged(seed: int, folder: Path, number: int) -> Iterator[tuple[str, Path]]:
    """Damaged checkpoints, each with what was done to it; a file lasts until the next one is asked for.

    Args:
        seed: decides all.
        folder: for the files.
        number: of them.
    """
    use(checkpoint_file("min-vae"))  # what is imported and compiled now need not be in every process
    for case in range(number):
        random = Random(f"checkpoint {seed} {case}")
        base = random.choice(BASES)
        with safe_open(checkpoint_file(base), framework="pt") as file:
            metadata = json.loads(file.metadata()[KEY])
        tensors = load_file(checkpoint_file(base))
        name, content = _damage(random, metadata, tensors)
        path = folder / f"{case}.safetensors"
        path.write_bytes(content)
        yield f"{seed}/{case} {base}: {name}", path
        path.unlink()


def _damage(random: Random, metadata: dict[str, Any], tensors: dict[str, Tensor]) -> tuple[str, bytes]:
    match random.randrange(10):
        case 0 | 1 | 2 | 3 | 4 | 5:
            # what decides most is changed most: the records of the training are read by nobody
            part = random.choice(("prior", "guide", "stft", "enhancement", "enhancement", None))
            if part is None:
                name, changed = mutated(metadata, random)
            else:
                name, changed = mutated({part: metadata[part]}, random)
                changed = {**{key: metadata[key] for key in metadata if key != part}, **changed}
            return name, _file(json.dumps(changed), tensors)
        case 6 | 7:
            name, changed = _tensors(random, tensors)
            return name, _file(json.dumps(metadata), changed)
        case 8:
            return bytes_mutated(_file(json.dumps(metadata), tensors), random)
        case _:
            return _text(random, json.dumps(metadata), tensors)


def _file(text: str, tensors: dict[str, Tensor]) -> bytes:
    return save(tensors, metadata={KEY: text})


def _tensors(random: Random, tensors: dict[str, Tensor]) -> tuple[str, dict[str, Tensor]]:
    name = random.choice(list(tensors))
    tensor = tensors[name].clone()
    flat = tensor.view(-1)
    match kind := random.choice(("nan", "inf", "large", "type", "shape", "cut", "drop", "rename", "empty", "zero")):
        case "nan" | "inf" | "large":
            value = {"nan": float("nan"), "inf": float("-inf"), "large": random.choice((1e4, 6e4, -6e4))}[kind]
            if tensor.is_floating_point():
                flat[random.randrange(max(1, len(flat))) :] = value
        case "type":
            tensor = tensor.to(random.choice((torch.int8, torch.bool, torch.float64, torch.int64, torch.bfloat16)))
        case "shape":
            tensor = flat if tensor.dim() > 1 else tensor[None]
        case "cut":
            tensor = flat[1:].clone()
        case "drop":
            return f"drop {name}", {key: value for key, value in tensors.items() if key != name}
        case "rename":
            return f"rename {name}", {f"{key}x" if key == name else key: value for key, value in tensors.items()}
        case "empty":
            tensor = tensor.new_zeros(0)
        case _:
            tensor = torch.zeros_like(tensor)
    return f"{kind} {name}", {**tensors, name: tensor.contiguous()}


def _text(random: Random, text: str, tensors: dict[str, Tensor]) -> tuple[str, bytes]:
    """Descriptions that are no JSON, or more of it than anybody needs; headers that lie."""
    content = _file(text, tensors)
    match random.randrange(7):
        case 0:
            deep = "[" * DEEP + "]" * DEEP
            return "deep list", _file(text.replace('"credits": ', f'"credits": {deep}, "x": '), tensors)
        case 1:
            deep = '{"class_path": "AudioVAE", "init_args": {"decoder": ' * 2000 + "null" + "}}" * 2000
            return "deep prior", _file(text.replace('"prior": ', f'"prior": {deep}, "x": '), tensors)
        case 2:
            return "long number", _file(text.replace('"format": 3', f'"format": {"3" * 6000}'), tensors)
        case 3:
            return "twice", _file(text.replace("{", '{"format": 9, "stft": 3, ', 1), tensors)
        case 4:
            length = random.choice((0, 1, 7, 2**20, 10**8, 2**40, 2**63, 2**64 - 1))
            return f"header of {length} bytes", length.to_bytes(8, "little") + content[8:]
        case 5:
            first = next(iter(tensors)).encode()
            return "a tensor twice", content.replace(
                b'"' + first + b'"', b'"' + next(reversed(tensors)).encode() + b'"'
            )
        case _:
            return "cut text", _file(text[: random.randrange(len(text))], tensors)


def use(path: Path) -> None:
    """Describe, load, and enhance a third of a second with a mouth; the speech must be numbers."""
    describe(path)
    generator = torch.Generator().manual_seed(0)
    sound = 0.1 * torch.randn(5300, generator=generator)
    crops = (255 * torch.rand(9, 67, 67, generator=generator)).to(torch.uint8)
    mouth = MouthTrack(crops, torch.arange(9) / 25, torch.arange(9) > 1)
    result = minvae_pyro.enhance(sound, sample_rate=16000, video=mouth, checkpoint=path)
    if result.speech.shape != (1, 5300) or not result.speech.isfinite().all():
        raise AssertionError("no speech came out, and nobody said so")


def run(seed: int, number: int) -> int:
    """Print what becomes of so many damaged checkpoints, and return the number of faults."""
    with tempfile.TemporaryDirectory() as folder:
        return report(f"checkpoints, seed {seed}", damaged(seed, Path(folder), number), use, SECONDS)


if __name__ == "__main__":
    sys.exit(min(1, run(int(sys.argv[1]), int(sys.argv[2]))))
