"""Would the tests notice? Puts single faults into the mathematical heart and runs the tests that reach them.

`make mutate` runs it. All tests of the heart are collected once, in one process, and run once under a tracer that
writes down the lines each of them reaches. Every mutant is then a fork of that process: the function with the fault
gets its faulty code, and the tests that reach its line run, the quickest first, until one fails. No file is changed.
"""

import argparse
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from gc import get_objects
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

import pytest
from _pytest.runner import runtestprotocol
from mutants import Mutant, mutants

REPOSITORY = Path(__file__).resolve().parents[2]
HEART = (
    "models",
    "guides",
    "minvae_pyro/probability",
    "minvae_pyro/inference",
    "minvae_pyro/utterances.py",
    "minvae_pyro/audio/observed.py",
    "minvae_pyro/audio/level.py",
)
SLOWEST = 12.0
"""Seconds of the processor that a test may take, tracer included, to be asked at all."""
STUCK = 600
"""Seconds by the clock after which a test with a fault in it waits for something that does not come."""


@dataclass
class Reach:
    """What one test does when nothing is wrong: seconds of the processor, and lines of each file of the heart."""

    seconds: float
    lines: dict[str, set[int]]


def heart(chosen: Iterable[str] = HEART) -> list[str]:
    """Files, as paths from the repository."""
    paths = [REPOSITORY / part for part in chosen]
    files = [file for path in paths for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]
    return [str(file.relative_to(REPOSITORY)) for file in files if file.name != "__init__.py"]


def mirrored(part: str) -> list[str]:
    """The tests of a file or folder, as paths from the repository: those of its name, else all of its folder."""
    path = REPOSITORY / "tests" / part
    if path.is_dir():
        return [str(path.relative_to(REPOSITORY))]
    named = sorted(path.parent.glob(f"test_{path.stem}*.py"))
    return [str(file.relative_to(REPOSITORY)) for file in named or [path.parent]]


class Mutation:
    """A plugin of pytest that runs the chosen mutants in place of the collected tests."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.survivors: list[tuple[str, Mutant]] = []
        self.count: Counter[tuple[str, bool]] = Counter()
        self._short: dict[str, str | None] = {}

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Record what the tests reach, then try one mutant after the other."""
        if session.testsfailed:
            raise session.Interrupted("some tests cannot be collected")
        # not before: pytest wants to see its plugins imported
        from hypothesis import Phase, settings

        # the same examples for every mutant, and none of its failures kept or made smaller
        settings.register_profile(
            "mutation", database=None, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate]
        )
        settings.load_profile("mutation")
        self.functions = self._functions()
        items = {item.nodeid: item for item in session.items}
        reach = self._recorded(items)
        chosen = self._sample()
        for number, (file, mutant) in enumerate(chosen, 1):
            asked = [
                nodeid
                for nodeid, one in sorted(reach.items(), key=lambda pair: pair[1].seconds)
                if mutant.line in one.lines.get(file, ())
            ]
            killed = self._killed(file, mutant, [items[nodeid] for nodeid in asked], reach)
            if killed is None:
                continue
            self.count[Path(file).parts[0] if "/" in file else file, killed] += 1
            if not killed:
                self.survivors.append((file, mutant))
                print(f"[{number}/{len(chosen)}] {described(file, mutant)} ({len(asked)} tests)", flush=True)
        return True

    def _sample(self) -> list[tuple[str, Mutant]]:
        every = [
            (file, mutant)
            for file in heart(self.options.files or HEART)
            for mutant in mutants((REPOSITORY / file).read_text())
        ]
        if self.options.at:
            return [(file, mutant) for file, mutant in every if f"{file}:{mutant.line}" in self.options.at]
        order = random.Random(self.options.seed).sample(every, len(every))
        first = order[self.options.skip :]
        return first[: self.options.sample] if self.options.sample else first

    def _functions(self) -> dict[tuple[str, int], list[FunctionType]]:
        """The functions of the heart by file and first line."""
        found: dict[tuple[str, int], list[FunctionType]] = {}
        for function in (one for one in get_objects() if type(one) is FunctionType):
            if (file := self._file(function.__code__.co_filename)) is not None:
                found.setdefault((file, function.__code__.co_firstlineno), []).append(function)
        missing = {*heart(self.options.files or HEART)} - {file for file, _ in found}
        if missing:
            raise SystemExit(f"these files are not what runs here, install this checkout first: {sorted(missing)}")
        return found

    def _file(self, name: str) -> str | None:
        """A file of the heart as a path from the repository; None for any other."""
        if name not in self._short:
            path = Path(name).resolve()
            short = str(path.relative_to(REPOSITORY)) if path.is_relative_to(REPOSITORY) else ""
            self._short[name] = short if short in heart() else None
        return self._short[name]

    def _recorded(self, items: dict[str, pytest.Item]) -> dict[str, Reach]:
        """What every test reaches; kept from the run before unless tests or what they reach have changed."""
        now = {file: _mark((REPOSITORY / file).read_text()) for file in heart()}
        kept = REPOSITORY / "build" / "mutation"
        kept.mkdir(parents=True, exist_ok=True)
        found: dict[str, Reach] = {}
        for path in dict.fromkeys(str(item.path.relative_to(REPOSITORY)) for item in items.values()):
            mine = [item for item in items.values() if item.path == REPOSITORY / path]
            mark = _mark((REPOSITORY / path).read_text(), *(item.nodeid for item in mine))
            note = kept / f"{path.replace('/', '-')}.json"
            known = json.loads(note.read_text()) if note.is_file() else {"mark": "", "files": {}}
            if known["mark"] != mark or any(now.get(file) != was for file, was in known["files"].items()):
                print(f"tracing {path}", flush=True)
                if _in_a_fork(lambda mine=mine, note=note, mark=mark: self._trace(mine, note, mark, now)) != 0:
                    raise SystemExit(f"{path} could not be traced")
                known = json.loads(note.read_text())
            for nodeid, (seconds, lines) in known["reach"].items():
                found[nodeid] = Reach(seconds, {file: set(numbers) for file, numbers in lines.items()})
        return found

    def _trace(self, items: list[pytest.Item], note: Path, mark: str, now: dict[str, str]) -> int:
        reach: dict[str, Any] = {}
        touched: set[str] = set()
        for item, following in pairwise([*items, None]):
            lines: dict[str, set[int]] = {}
            began = time.process_time()
            sys.settrace(self._tracer(lines))
            try:
                passed = _passes(item, following)
            finally:
                sys.settrace(None)
            seconds = time.process_time() - began
            touched.update(lines)
            # tests that fail or are skipped here can notice nothing
            if passed and seconds < SLOWEST:
                reach[item.nodeid] = seconds, {file: sorted(numbers) for file, numbers in lines.items()}
        files = {file: now[file] for file in sorted(touched)}
        note.write_text(json.dumps({"mark": mark, "files": files, "reach": reach}))
        return 0

    def _tracer(self, lines: dict[str, set[int]]) -> Callable[..., Any]:
        """A function for ``sys.settrace`` that adds the lines of the heart that run."""

        def enter(frame: FrameType, event: str, _: Any) -> Any:
            if (file := self._file(frame.f_code.co_filename)) is None:
                return None
            seen = lines.setdefault(file, set())

            def local(frame: FrameType, event: str, _: Any) -> Any:
                seen.add(frame.f_lineno)
                return local

            return local(frame, event, None)

        return enter

    def _killed(self, file: str, mutant: Mutant, items: list[pytest.Item], reach: dict[str, Reach]) -> bool | None:
        """Whether a test notices; None where the fault is none that can be put in place."""
        functions = self.functions.get((file, mutant.function), [])
        code = next((one for one in _codes(_compiled(mutant.source)) if one.co_firstlineno == mutant.function), None)
        fits = [one for one in functions if code is not None and len(one.__code__.co_freevars) == len(code.co_freevars)]
        if code is None or not fits or any(code == one.__code__ for one in fits):
            return None

        def run() -> int:
            for function in fits:
                function.__code__ = code
            spent = 0.0
            for item, following in pairwise([*items, None]):
                seconds = reach[item.nodeid].seconds
                spent += seconds
                if spent > self.options.budget:
                    break
                # the end of its time is the end of the fork: noticed
                signal.setitimer(signal.ITIMER_PROF, 10 * seconds + 5)
                signal.alarm(STUCK)
                if not _passes(item, following):
                    return 1
            return 0

        return _in_a_fork(run) != 0


def _mark(*texts: str) -> str:
    return sha256("\0".join(texts).encode()).hexdigest()


def _compiled(source: str) -> CodeType:
    return compile(source, "mutant", "exec")


def _codes(code: CodeType) -> Iterable[CodeType]:
    """Code of functions that no other function contains."""
    for one in code.co_consts:
        if isinstance(one, CodeType):
            # a class has a name for its module, and what it contains is outermost too
            yield from _codes(one) if "__module__" in one.co_names and not one.co_flags & 2 else [one]


def _passes(item: pytest.Item, following: pytest.Item | None) -> bool:
    """Whether a test passes; one that is skipped does not."""
    reports = runtestprotocol(item, log=False, nextitem=following)
    return all(report.passed for report in reports)


def _in_a_fork(what: Any) -> int:
    """Exit status of a function of no arguments in a process of its own."""
    process = os.fork()
    if process == 0:
        status = 2
        try:
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), 1)
                os.dup2(nowhere.fileno(), 2)
            status = what()
        finally:
            os._exit(status)
    return os.waitpid(process, 0)[1]


def described(file: str, mutant: Mutant) -> str:
    """A mutant in one line."""
    before, after = (" ".join(code.split()) for code in (mutant.before, mutant.after))
    return f"{file}:{mutant.line}: {mutant.kind}: {before}  ->  {after}"


def main() -> int:
    """Run from the command line; 1 if fewer than the wanted share are noticed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", help="only these files or folders, by their own tests")
    parser.add_argument("--sample", type=int, default=300, help="how many mutants; 0 for all there are")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--skip", type=int, default=0, help="leave out so many of the sample's first")
    parser.add_argument("--at", nargs="*", help="only the mutants of these lines, FILE:LINE")
    parser.add_argument("--budget", type=float, default=20.0, help="seconds of tests for a mutant")
    parser.add_argument("--least", type=float, default=90.0, help="per cent that have to be noticed")
    options = parser.parse_args()
    os.chdir(REPOSITORY)
    # without the real recordings, which take minutes
    os.environ.update(MINVAE_DATA=os.devnull, CI="")
    plugin = Mutation(options)
    tests = list(dict.fromkeys(file for part in options.files or HEART for file in mirrored(part)))
    status = pytest.main([*tests, "-q", "-s", "--no-header", "-p", "no:cacheprovider", "-p", "no:xdist"], [plugin])
    total = sum(plugin.count.values())
    if status != 0 or total == 0:
        return 2
    noticed = total - len(plugin.survivors)
    for room in sorted({room for room, _ in plugin.count}):
        mine = plugin.count[room, True], plugin.count[room, False]
        print(f"{room}: {mine[0]} of {sum(mine)}")
    print(f"{noticed} of {total} mutants were noticed, {100 * noticed / total:.1f} %")
    for file, mutant in sorted(plugin.survivors, key=lambda pair: (pair[0], pair[1].line)):
        print(described(file, mutant))
    return 0 if 100 * noticed >= options.least * total else 1


if __name__ == "__main__":
    sys.exit(main())
