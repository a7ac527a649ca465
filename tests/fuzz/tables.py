"""Damaged tables, descriptions and names by the seed: a command ends well, or in one line and code 2.

``python tests/fuzz/tables.py --seed 0 --count 500`` runs that many and prints what ended otherwise.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import random
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

LIMIT = 30.0
"""Seconds that a command may take."""

TOKENS = [
    *("nan", "inf", "-inf", "1e999", "-1", "0", "99999999999999999999", "1_0", "١٢", "true", "null", "~", "", " ", "'"),
    *("=cmd|' /C calc'!A0", "+1", "@x", "../../etc/passwd", "/dev/zero", "/", ".", "..", "~root", "a" * 5000),
    *(
        "\x00",
        "\x1b[31mred",
        "\u202e",
        "\ud800",
        "\ufeff",
        "é\u0301",
        "\r",
        "\n",
        "\t",
        ",",
        ";",
        '"',
        '"""',
        "%s",
        "{0}",
    ),
    *("[]", "{}", "[[[", "{a: b", "!!python/object/apply:os.system [x]", "&a [*a, *a]", "<<: *x", "- - -", "? :", "|"),
    *(
        "class_path: os.system",
        "{class_path: builtins.print}",
        "{init_args: 3}",
        "2026-01-01",
        "0x10",
        "1:30",
        "!!binary x",
    ),
]


class TooSlow(BaseException):
    """A command takes too long: nothing on the way may take it for an error of its own."""


@dataclass(frozen=True)
class Case:
    """One damaged input.

    Attributes:
        name: kind, seed and number: with them it can be made again.
        arguments: of the command line.
        content: what is damaged.
    """

    name: str
    arguments: list[str]
    content: bytes | str


def damaged(text: str, chance: random.Random) -> bytes:
    """A text with one to three mistakes, of letters, fields, lines or encoding."""
    for _ in range(chance.randint(1, 3)):
        text = chance.choice(_MISTAKES)(text, chance)
    content = text.encode("utf-8", "surrogatepass")
    encoding = chance.random()
    if encoding < 0.05:
        return text.encode("utf-16", "surrogatepass")
    if encoding < 0.1:
        return content[: chance.randrange(len(content) + 1)]
    if encoding < 0.2 and content:
        place = chance.randrange(len(content))
        return content[:place] + bytes([chance.randrange(256)]) + content[place + 1 :]
    return content


def _field(text: str, chance: random.Random) -> str:
    """Another value in the place of a word or number."""
    places = [i for i, letter in enumerate(text) if letter in ",:\n [{"] or [0]
    start = chance.choice(places) + 1
    end = next((i for i in range(start, len(text)) if text[i] in ",\n]}"), len(text))
    return text[:start] + chance.choice(TOKENS) + text[end:]


def _insert(text: str, chance: random.Random) -> str:
    place = chance.randrange(len(text) + 1)
    return text[:place] + chance.choice(TOKENS) + text[place:]


def _cut(text: str, chance: random.Random) -> str:
    one, other = sorted(chance.randrange(len(text) + 1) for _ in range(2))
    return text[:one] + text[other:]


def _lines(text: str, chance: random.Random) -> str:
    lines = text.splitlines(keepends=True) or [""]
    place = chance.randrange(len(lines))
    lines[place : place + 1] = chance.choice([[], [lines[place]] * 2, [lines[place].rstrip("\n")], ["\n"]])
    return "".join(lines)


_MISTAKES: list[Callable[[str, random.Random], str]] = [_field, _field, _field, _insert, _cut, _lines]


class Workshop:
    """Makes cases in a folder.

    Args:
        folder: gets recordings and damaged files.
        seed: decides them.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.seed = folder, seed
        sound = np.random.default_rng(seed).normal(0.0, 0.1, 8000)
        for name in ("clip.wav", "noise.wav", "estimates/a.wav", "estimates/b.wav"):
            (folder / name).parent.mkdir(exist_ok=True, parents=True)
            soundfile.write(folder / name, sound, 16000)
        (folder / "results").mkdir(exist_ok=True)

    def cases(self) -> Iterator[Case]:
        """One case after the other, without end, of all kinds in turn."""
        number = 0
        while True:
            for kind in (self._mixtures, self._recorded, self._systems, self._training, self._enhancing, self._names):
                chance = random.Random(f"{self.seed}-{number}")
                arguments, content = kind(chance, number)
                yield Case(f"{kind.__name__[1:]}-{self.seed}-{number}", arguments, content)
                number += 1

    def _file(self, name: str, text: str, chance: random.Random) -> tuple[str, bytes]:
        path, content = self.folder / name, damaged(text, chance)
        path.write_bytes(content)
        return str(path), content

    def _evaluate(self, number: int, *more: str) -> list[str]:
        output = str(self.folder / f"results-{number}")
        return ["evaluate", "--output", output, "--no-sounds", *more]

    def _estimates(self, chance: random.Random) -> list[str]:
        """Mostly none of any mixture, which is told once the table is read: scores and figures take seconds."""
        return ["--estimates", f"ours={self.folder / ('estimates' if chance.random() < 0.05 else 'results')}"]

    def _mixtures(self, chance: random.Random, number: int) -> tuple[list[str], bytes]:
        text = "id,clip,noise,noise_offset_samples,snr_db,noise_type\n"
        text += "a,clip.wav,noise.wav,0,5,x\nb,clip.wav,noise.wav,9,-5,y\n"
        path, content = self._file("mixtures.csv", text, chance)
        return self._evaluate(number, "--mixtures", path, *self._estimates(chance)), content

    def _recorded(self, chance: random.Random, number: int) -> tuple[list[str], bytes]:
        text = "id,clip,noisy,noise,snr_db,video\na,clip.wav,noise.wav,street,5,\nb,clip.wav,noise.wav,,,\n"
        path, content = self._file("recorded.csv", text, chance)
        return self._evaluate(number, "--mixtures", path, *self._estimates(chance)), content

    def _systems(self, chance: random.Random, number: int) -> tuple[list[str], bytes]:
        # the table is missing: what is wrong with the systems is to be told first, and nothing is ever computed
        text = "ours: {checkpoint: a-vae, engine: {class_path: fast, init_args: {iterations: 2}}, seed: 1}\n"
        text += "theirs:\n  checkpoint: a-vae\n  noise: NMFNoise\n  start: audio\n  video: late-40\n"
        path, content = self._file("systems.yaml", text, chance)
        return self._evaluate(number, "--mixtures", str(self.folder / "missing.csv"), "--systems", path), content

    def _training(self, chance: random.Random, number: int) -> tuple[list[str], bytes]:
        # without data nothing is trained
        text = "prior:\n  class_path: AudioVAE\n  init_args: {latent_dim: 4}\nguide: AudioGuide\n"
        text += "data:\n  train: [missing]\n  validation: [missing]\n  batch_size: 2\n"
        text += "epochs: 1\noptimisation: {lr: 0.001}\n"
        path, content = self._file("training.yaml", text, chance)
        return ["train", "--config", path, "--output", str(self.folder / f"run-{number}")], content

    def _enhancing(self, chance: random.Random, number: int) -> tuple[list[str], bytes]:
        text = "seed: 3\nnoise: {class_path: NMFNoise, init_args: {rank: 2}}\nstart: audio\nvideo: null\n"
        text += "engine: {class_path: fast, init_args: {iterations: 1, steps: 1}}\ncheckpoint: a-vae\n"
        path, content = self._file("enhancing.yaml", text, chance)
        output = str(self.folder / f"speech-{number}.wav")
        return ["enhance", str(self.folder / "clip.wav"), "--config", path, "--output", output], content

    def _names(self, chance: random.Random, number: int) -> tuple[list[str], str]:
        # no name of a file of the system, which would be written over or read for ever
        words = [token for token in TOKENS if "/" not in token and "\x00" not in token]
        name = "".join(chance.choice([*words, "clip.wav", "a", "-", "="]) for _ in range(chance.randint(1, 3)))
        name = name or "a"
        place = str(self.folder / name)
        commands = [
            ["enhance", place],
            ["enhance", str(self.folder / "clip.wav"), "--output", place],
            ["enhance", str(self.folder / "clip.wav"), "--checkpoint", name],
            ["list", name],
            ["prepare", "folder", place, place],
            ["train", "--config", name],
            ["evaluate", "--mixtures", place, "--output", place, "--system", name],
            ["ablate", name, "--mixtures", place, "--output", place],
            [name],
        ]
        return chance.choice(commands), name


def fault(case: Case, limit: float = LIMIT) -> str:
    """What is wrong with how a command ends, "" for nothing: only success, or one line and code 2, are right."""
    import minvae_pyro.evaluation.experiment
    import minvae_pyro.training.run  # noqa: F401  loading takes longer than a command may
    from minvae_pyro.cli.main import main

    out, error = io.StringIO(), io.StringIO()
    try:
        with _time_limit(limit), contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
            code: Any = main(case.arguments)
    except SystemExit as stop:
        code = stop.code
    except BaseException:
        return traceback.format_exc()
    told = error.getvalue()
    if "\x1b" in told + out.getvalue():
        return "a name has reached the terminal as it is"
    if code == 0:
        return ""
    if code != 2:
        return f"code {code}: {told}"
    if told.count("\n") != 1:
        return f"{told.count(chr(10))} lines: {told}"
    return ""


@contextlib.contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise TooSlow(f"after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def main(arguments: list[str] | None = None) -> int:
    """Run some cases, and print those that end otherwise, and counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=300)
    given = parser.parse_args(arguments)
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for _, case in zip(range(given.count), Workshop(Path(folder), given.seed).cases(), strict=False):
            kind = case.name.partition("-")[0]
            counts[kind] += 1
            if wrong := fault(case):
                counts[f"{kind} ended otherwise"] += 1
                print(f"{case.name}: {case.content!r:.300}\n{case.arguments!r:.300}\n{wrong}\n", flush=True)
    print(", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
    return int(any("otherwise" in name for name in counts))


if __name__ == "__main__":
    sys.exit(main())
