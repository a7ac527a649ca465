"""Help texts as pages show them."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

EXTENSION = Path(__file__).parents[2] / "docs" / "_extensions" / "command_help.py"


@pytest.fixture(scope="module")
def command_help() -> ModuleType:
    spec = importlib.util.spec_from_file_location("command_help", EXTENSION)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("--print_config \b[=flags]", "--print_config[=flags]"),
        ("abc\b\b\bxyz", "xyz"),
        ("\bx\n\by", "x\ny"),
        ("\x1b[1;31merror\x1b[0m: \x1b]8;;file:x\x1b\\here\x1b]8;;\x07", "error: here"),
        ("one\r\ntwo\tthree\x07\x00\x85", "one\ntwo\tthree"),
        ("naïve – 5 \u00b5s", "naïve – 5 \u00b5s"),
    ],
)
def test_only_what_a_terminal_shows_is_left(command_help: ModuleType, written: str, printed: str) -> None:
    assert command_help.as_printed(written) == printed
