"""What becomes of a damaged input: it is used, it is refused in one line, or the program is at fault."""

import os
import pickle
import resource
import select
import signal
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minvae_pyro.corpora.workers import one_thread
from minvae_pyro.errors import UserError

OK, REFUSED, FAULT = "ok", "refused", "fault"

_MEMORY = 8 << 30  # bytes of address space that a case may take


@dataclass(frozen=True)
class Outcome:
    """What became of an input.

    Attributes:
        kind: :data:`OK`, :data:`REFUSED` by the user's error in one line, or :data:`FAULT`: anything else.
        text: the message, or the end of the traceback.
    """

    kind: str
    text: str = ""


def judge(use: Callable[[Path], Any], path: Path, seconds: float) -> Outcome:
    """Use an input in a process of its own, for its memory and time are nobody's but its own.

    Args:
        use: raises what is wrong.
        path: the input.
        seconds: longer is a fault.
    """
    reading, writing = os.pipe()
    # a fork has none of the threads that OpenCV's pool waits for: they end before it
    with one_thread(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*multi-threaded.*fork", category=DeprecationWarning)
        process = os.fork()
        if process == 0:
            _child(use, path, writing)
    os.close(writing)
    content = _read(reading, seconds)
    if content is None:
        os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    if content is None:
        return Outcome(FAULT, f"longer than {seconds:g} s")
    return pickle.loads(content) if content else Outcome(FAULT, "the process died")


def _child(use: Callable[[Path], Any], path: Path, writing: int) -> None:
    """Write the outcome of using an input, and end the process, whatever happens."""
    try:
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        os.write(writing, pickle.dumps(_outcome(use, path)))
    finally:
        os._exit(0)


def _outcome(use: Callable[[Path], Any], path: Path) -> Outcome:
    try:
        use(path)
    except UserError as error:
        text = str(error)
        return Outcome(REFUSED if len(text) < 2000 and "\n" not in text else FAULT, text[:2000])
    except BaseException as error:
        last = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[-4:]]
        return Outcome(FAULT, f"{type(error).__name__}: {str(error)[:300]} at {' < '.join(reversed(last))}")
    return Outcome(OK)


def _read(reading: int, seconds: float) -> bytes | None:
    """All that the other process writes; None if it has not ended by then."""
    end, content = time.monotonic() + seconds, b""
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        while True:
            if not select.select([pipe], [], [], max(0.0, end - time.monotonic()))[0]:
                return None
            if not (block := pipe.read(65536)):
                return content
            content += block


def report(what: str, cases: Iterable[tuple[str, Path]], use: Callable[[Path], Any], seconds: float) -> int:
    """Print the faults and how many inputs ended in what, after a few words on them; returns the number of faults."""
    counts, faults = count(cases, use, seconds)
    for name, text in faults:
        print(f"{name}\n    {text}")
    print(f"{what}: {counts.total()} damaged, {dict(counts)}")
    return len(faults)


def count(
    cases: Iterable[tuple[str, Path]], use: Callable[[Path], Any], seconds: float
) -> tuple[Counter[str], list[tuple[str, str]]]:
    """How many inputs ended in what, and the (name, text) of each fault."""
    counts: Counter[str] = Counter()
    faults = []
    for name, path in cases:
        outcome = judge(use, path, seconds)
        counts[outcome.kind] += 1
        if outcome.kind == FAULT:
            faults.append((name, outcome.text))
    return counts, faults
