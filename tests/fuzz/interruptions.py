"""Kills at any moment, and disks that fill up: the same command goes on, and ends with the same bytes.

python -m tests.fuzz.interruptions SEED NUMBER
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import torch

from minvae_pyro.audio.files import Sound, write_sound

_COMMAND = [sys.executable, "-c", "import sys; from minvae_pyro.cli.main import main; sys.exit(main(sys.argv[1:]))"]
_CLIPS, _EPOCHS = 6, 3
_SIZES = (300, 1000, 3000, 6000)  # kilobytes of a disk


def recordings(folder: Path) -> Path:
    """Clips of a second of noise, as speech for those who do not listen."""
    generator = torch.Generator().manual_seed(0)
    folder.mkdir(parents=True)
    for number in range(_CLIPS):
        sound = 0.1 * torch.randn(1, 16000, generator=generator)
        write_sound(folder / f"{number}.wav", Sound(sound, 16000))
    return folder


def commands(clips: Path, output: Path) -> list[list[str]]:
    """What is interrupted: preparing the clips, and training on them."""
    prepared = str(output / "prepared")
    data = [f"--data.{part}=[{prepared}]" for part in ("train", "validation")]
    model = ["--config", "a-vae", "--data.crop_frames", "8", "--data.batch_size", "2", "--epochs", str(_EPOCHS)]
    return [
        ["prepare", "folder", str(clips), prepared],
        ["train", *model, *data, "--device", "cpu", "--output", str(output / "run")],
    ]


def start(arguments: list[str]) -> subprocess.Popen[str]:
    """Run a command in a process of its own."""
    return subprocess.Popen([*_COMMAND, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def result(output: Path) -> dict[str, bytes]:
    """Features and weights, by their names."""
    files = [*output.rglob("features/*"), output / "prepared" / "manifest.csv", output / "run" / "weights.safetensors"]
    return {str(file.relative_to(output)): file.read_bytes() for file in files}


def killed(clips: Path, output: Path, random: Random, longest: float) -> str:
    """Kill every command once, at a random moment, and run it again to its end; what went wrong, or nothing."""
    for arguments in commands(clips, output):
        process = start(arguments)
        time.sleep(random.uniform(0, longest))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        process = start(arguments)
        _, told = process.communicate()
        if process.returncode:
            return f"{arguments[0]} ends with {process.returncode} after a kill: {told[-300:]}"
    return ""


@contextmanager
def disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """A folder on a disk of its own; needs root."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def filled(clips: Path, folder: Path, kilobytes: int) -> str:
    """Run the commands on a disk that may be too small; what went wrong, or nothing."""
    with disk(folder, kilobytes) as output:
        for arguments in commands(clips, output):
            process = start(arguments)
            _, told = process.communicate()
            if process.returncode not in (0, 2) or "Traceback" in told:
                return f"{arguments[0]} on {kilobytes} kB ends with {process.returncode}: {told[-300:]}"
            if process.returncode:
                lines = [line for line in told.splitlines() if line.strip()]
                return "" if len(lines) == 1 else f"{arguments[0]} on {kilobytes} kB: {len(lines)} lines: {told[-300:]}"
    return ""


def run(seed: int, number: int) -> int:
    """Print what becomes of so many interruptions, and return the number of faults."""
    random, faults = Random(seed), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = recordings(folder / "clips")
        began = time.monotonic()
        for arguments in commands(clips, folder / "whole"):
            start(arguments).communicate()
        longest = time.monotonic() - began
        expected = result(folder / "whole")
        for case in range(number):
            output = folder / f"killed-{case}"
            wrong = killed(clips, output, random, longest)
            if not wrong and result(output) != expected:
                wrong = "the result has other bytes than an uninterrupted one"
            faults += [f"kill {case}: {wrong}"] if wrong else []
        sizes = _SIZES if os.geteuid() == 0 else ()
        faults += [wrong for size in sizes if (wrong := filled(clips, folder / f"disk-{size}", size))]
    for fault in faults:
        print(fault)
    disks = f"{len(sizes)} small disks" if sizes else "no small disks, which only root can make"
    print(f"interruptions, seed {seed}: {number} kills of each command, {disks}, {len(faults)} faults")
    return len(faults)


if __name__ == "__main__":
    sys.exit(min(1, run(int(sys.argv[1]), int(sys.argv[2]))))
