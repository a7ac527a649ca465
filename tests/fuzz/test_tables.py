"""A sample of damaged tables, configurations and names, and a check of the check."""

import importlib.util
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

_SAMPLE = 36


@pytest.fixture(scope="module")
def tables() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("fuzz_tables", Path(__file__).with_name("tables.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_damaged_inputs_end_well_or_in_one_line(tables: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cases = islice(tables.Workshop(tmp_path, 0).cases(), _SAMPLE)
    assert {case.name: found for case in cases if (found := tables.fault(case))} == {}


def test_the_same_seed_damages_alike(tables: Any, tmp_path: Path) -> None:
    first, again, other = (
        [(case.name, case.content) for case in islice(tables.Workshop(tmp_path, seed).cases(), 12)]
        for seed in (1, 1, 2)
    )
    assert first == again
    assert [content for _, content in first] != [content for _, content in other]


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        ("raise ValueError('x')", "Traceback"),
        ("return 1", "code 1"),
        ("print('a\\nb', file=sys.stderr)\n    return 2", "2 lines"),
        ("print('\\x1b')\n    return 0", "a name has reached the terminal"),
        ("time.sleep(9)\n    return 0", "TooSlow"),
    ],
)
def test_what_ends_otherwise_is_found(ends: str, told: str, tables: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    program: dict[str, Any] = {}
    exec(f"import sys, time\ndef main(arguments):\n    {ends}\n", program)
    monkeypatch.setattr("minvae_pyro.cli.main.main", program["main"])
    assert told in tables.fault(tables.Case("x", [], b""), limit=0.2)
