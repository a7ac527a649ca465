"""The examples in docstrings say what comes out."""

import doctest
import importlib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGES = {"minvae_pyro": "minvae_pyro", "models": "minvae_pyro.models", "guides": "minvae_pyro.guides"}


def with_examples() -> list[str]:
    """Dotted names of the modules whose text has a prompt."""
    return [
        ".".join([name, *source.relative_to(REPOSITORY / top).with_suffix("").parts]).removesuffix(".__init__")
        for top, name in PACKAGES.items()
        for source in sorted((REPOSITORY / top).rglob("*.py"))
        if ">>> " in source.read_text()
    ]


def test_there_are_examples() -> None:
    assert len(with_examples()) >= 15


@pytest.mark.parametrize("module", with_examples())
def test_examples_of_the_module(module: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(module), optionflags=doctest.ELLIPSIS, verbose=False)
    assert tried > 0
    assert failed == 0
