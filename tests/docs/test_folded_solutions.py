"""A solution, with what it prints, lies in a fold; all else stays open."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from docutils import nodes
from docutils.utils import new_document

FOLDER = Path(__file__).parents[2] / "docs" / "_extensions"


@pytest.fixture
def folded(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(FOLDER))
    yield importlib.import_module("folded_solutions")
    sys.modules.pop("folded_solutions", None)


def test_code_and_output_of_a_solution_are_folded(folded: ModuleType) -> None:
    document = new_document("lesson")
    section = nodes.section()
    document += section
    for text, classes in (
        ("x = 1", []),
        ("output of the lesson", ["sphx-glr-script-out"]),
        ("# Solution 1\nx = 2", []),
        ("output of the solution", ["sphx-glr-script-out"]),
        ("# Solution 2\nx = 3", []),
    ):
        section += nodes.literal_block(text, text, classes=classes)
    section += nodes.paragraph("", "the next question")
    folded.fold(None, document)
    open_fold, close_fold = ("raw:<details", "raw:</details>")
    found = [
        f"raw:{child.astext().partition(' ')[0]}" if isinstance(child, nodes.raw) else child.astext()
        for child in section.children
    ]
    assert found == [
        "x = 1",
        "output of the lesson",
        open_fold,
        "# Solution 1\nx = 2",
        "output of the solution",
        close_fold,
        open_fold,
        "# Solution 2\nx = 3",
        close_fold,
        "the next question",
    ]
