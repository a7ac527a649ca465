"""Damage to what JSON can say, and to bytes: every draw from the generator that is given."""

import copy
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

NUMBERS = (0, -1, 1, 2, 3, 100_000, 10**6, 10**12, 2**31, 2**63, 10**40, 0.5, 1e-320, 1e30, 1e308, -1e308)
OTHERS = (None, True, False, "", "x", "1", "1e9", [], {}, [1], [[]], {"class_path": "os.getcwd"}, math.nan, math.inf)
TEXTS = (
    "",
    " ",
    ".",
    "..",
    "../../etc/passwd",
    "os.system",
    "a.b.c",
    "\0",
    "é\n\x1b[31m",
    "x" * 10_000,
    "{",
    "[]",
    "ﬁ",
)
DEEP = 100_000


def damaged_copies(
    what: str, original: Path, damage: Callable[[Path, Random], str], seed: int, number: int
) -> Iterator[tuple[str, Path]]:
    """Copies of a folder beside it, each with what was done to it; one lasts until the next one is asked for."""
    for case in range(number):
        random = Random(f"{what} {seed} {case}")
        path = original.parent / f"case-{case}"
        shutil.copytree(original, path)
        yield f"{seed}/{case}: {damage(path, random)}", path
        shutil.rmtree(path)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all parts of a value, itself left out."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield (*path, key)
        yield from places(part, (*path, key))


def mutated(value: Any, random: Random) -> tuple[str, Any]:
    """A copy of a value of dictionaries and lists with one or two changes, and what they are."""
    changed, names = copy.deepcopy(value), []
    for _ in range(random.choice((1, 1, 1, 2))):
        if not (paths := list(places(changed))):
            break
        *above, last = random.choice(paths)
        parent = changed
        for key in above:
            parent = parent[key]
        name, change = random.choice(_CHANGES)
        change(parent, last, random)
        names.append(f"{name} {'.'.join(map(str, (*above, last)))}")
    return " and ".join(names), changed


def _drop(parent: Any, key: Any, random: Random) -> None:
    del parent[key]


def _retype(parent: Any, key: Any, random: Random) -> None:
    parent[key] = copy.deepcopy(random.choice(OTHERS))


def _number(parent: Any, key: Any, random: Random) -> None:
    parent[key] = random.choice(NUMBERS)


def _text(parent: Any, key: Any, random: Random) -> None:
    parent[key] = random.choice(TEXTS)


def _list(parent: Any, key: Any, random: Random) -> None:
    parent[key] = [parent[key]] * random.choice((1, 2, 5000))


def _add(parent: Any, key: Any, random: Random) -> None:
    if isinstance(parent, dict):
        parent[random.choice(TEXTS)] = parent[key]
    else:
        parent.append(parent[key])


def _wrap(parent: Any, key: Any, random: Random) -> None:
    """A description within itself, or a value nested a few hundred times."""
    for _ in range(random.choice((1, 10, 300))):
        part = parent[key]
        described = isinstance(part, dict) and "class_path" in part
        name = random.choice(list(part.get("init_args") or {"decoder": None})) if described else key
        parent[key] = {"class_path": part["class_path"], "init_args": {name: part}} if described else {str(name): part}


_CHANGES: tuple[tuple[str, Callable[[Any, Any, Random], None]], ...] = (
    ("drop", _drop),
    ("retype", _retype),
    ("number", _number),
    ("text", _text),
    ("list", _list),
    ("add", _add),
    ("wrap", _wrap),
)


def bytes_mutated(content: bytes, random: Random) -> tuple[str, bytes]:
    """Bytes cut, flipped, doubled or lengthened, and how."""
    match random.randrange(4):
        case 0:
            length = random.randrange(len(content))
            return f"cut to {length} bytes", content[:length]
        case 1:
            start = random.randrange(len(content))
            return f"doubled from {start}", content[:start] + content[start // 2 :]
        case 2:
            return "zeros appended", content + bytes(random.choice((1, 8, 1000)))
        case _:
            flipped = bytearray(content)
            # the beginning, where lengths and names stand, as often as all the rest
            ends = [random.choice((min(2000, len(content)), len(content))) for _ in range(random.choice((1, 3, 30)))]
            for end in ends:
                flipped[random.randrange(end)] ^= 1 << random.randrange(8)
            return f"{len(ends)} bits flipped", bytes(flipped)
