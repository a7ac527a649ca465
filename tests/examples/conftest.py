"""Lessons run as a reader runs them, each once however many tests look at it."""

import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclass(frozen=True)
class Run:
    """A lesson that has been run.

    Attributes:
        name: Of the script, without suffix.
        output: What it printed.
        folder: Where it ran.
        seconds: Processor time.
    """

    name: str
    output: str
    folder: Path
    seconds: float

    def numbers(self, pattern: str) -> list[float]:
        """The groups of the one place of the output where a pattern matches."""
        (found,) = re.findall(pattern, self.output)
        return [float(value) for value in (found if isinstance(found, tuple) else (found,))]

    def check(self) -> None:
        """What every lesson does: it prints, draws a figure that it names, and does not keep a reader waiting."""
        assert self.output.strip()
        figure = self.folder / "examples-output" / f"{self.name}.png"
        assert figure.read_bytes().startswith(b"\x89PNG")
        assert f"figure: examples-output/{self.name}.png" in self.output
        # half a minute is promised; a slow machine may take twice as long
        assert self.seconds < 60


@pytest.fixture(scope="session")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Run]:
    """Run a lesson by its number, with every warning an error."""
    runs: dict[int, Run] = {}

    def run(number: int) -> Run:
        if number not in runs:
            (script,) = EXAMPLES.glob(f"{number:02}_*.py")
            folder = tmp_path_factory.mktemp(script.stem)
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            command = [sys.executable, "-W", "error", str(script)]
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            assert done.returncode == 0, done.stderr
            seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            runs[number] = Run(script.stem, done.stdout, folder, seconds)
        return runs[number]

    return run
