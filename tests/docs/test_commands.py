"""Commands that pages name can be given: the command, its options, and what ships by name."""

import argparse
import importlib
import itertools
import re
import shlex
from pathlib import Path

import pytest

from minvae_pyro import shipped
from minvae_pyro.cli.main import COMMANDS
from minvae_pyro.training.configuration import CONFIGURATIONS, FAMILIES, make_parser

REPOSITORY = Path(__file__).parents[2]
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
LINE = re.compile(r"^(?: {4}|\$ )?(?:\.venv/bin/)?minvae (?P<rest>[^`\n]*)$", re.MULTILINE)
INLINE = re.compile(r"`(?:\.venv/bin/)?minvae (?P<rest>[^`]+)`")


def commands(page: Path) -> list[list[str]]:
    text = page.read_text().replace("\\\n", " ")
    found = [match["rest"] for pattern in (LINE, INLINE) for match in pattern.finditer(text)]
    return [shlex.split(rest, comments=True) for rest in found]


def options_of(command: str) -> set[str]:
    """Long options, without what comes behind a dot: those of a class depend on the class."""
    module = importlib.import_module(COMMANDS[command][0])
    parser: argparse.ArgumentParser = make_parser() if command == "train" else module.parser()
    return {text.split(".")[0] for action in parser._actions for text in action.option_strings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_of_the_page_can_be_given(page: Path) -> None:
    for command, *rest in commands(page):
        if command.isupper() or command.startswith("-"):
            continue
        assert command in COMMANDS
        used = {word.split("=")[0].split(".")[0] for word in rest if word.startswith("--")}
        assert used <= options_of(command), (command, rest)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_checkpoints_and_configurations_of_the_page_ship(page: Path) -> None:
    known = {"--checkpoint": set(shipped()), "--config": {*CONFIGURATIONS, *FAMILIES}}
    for words in commands(page):
        for option, value in itertools.pairwise(words):
            if option in known and not re.search(r"[/.]|^[A-Z_]+$", value):
                assert value in known[option], words


def test_pages_name_commands() -> None:
    assert sum(len(commands(page)) for page in PAGES) > 40
