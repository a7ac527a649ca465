"""Two lessons run as notebooks; all of them are notebooks that could."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

REPOSITORY = Path(__file__).parents[2]
SCRIPTS = sorted((REPOSITORY / "examples").glob("[0-9]*.py"))
TOOL = REPOSITORY / "docs" / "_extensions" / "notebooks.py"
RUN = (6, 11)  # with a recording, and quick

Notebook = Callable[[int], Any]


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Notebook:
    """A lesson of :data:`RUN`, executed."""
    folder = tmp_path_factory.mktemp("notebooks")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, str(TOOL), str(folder), *map(str, RUN)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]

    def read(number: int) -> Any:
        (path,) = folder.glob(f"{number:02}_*.ipynb")
        return nbformat.read(path, as_version=4)

    return read


def outputs(notebook: Any, kind: str) -> list[str]:
    """What of a MIME type the cells of a notebook show; "text" is what they print."""
    every = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    if kind == "text":
        return [output.text for output in every if output.output_type == "stream"]
    return [output.data[kind] for output in every if kind in output.get("data", {})]


@pytest.mark.parametrize("number", RUN)
def test_its_figure_is_inline(notebook: Notebook, number: int) -> None:
    assert len(outputs(notebook(number), "image/png")) >= 1


@pytest.mark.parametrize("number", RUN)
def test_it_plays_noisy_enhanced_and_clean(notebook: Notebook, number: int) -> None:
    names = {text.strip("*") for text in outputs(notebook(number), "text/markdown")}
    assert names >= {"noisy", "enhanced", "clean"}
    players = [html for html in outputs(notebook(number), "text/html") if "<audio" in html]
    assert len(players) == len(names)
    # each has its own sound within
    assert len(set(re.findall(r"data:audio/wav;base64,[\w+/=]{10000,}", "".join(players)))) == len(names)


@pytest.mark.parametrize("number", RUN)
def test_its_solutions_run(notebook: Notebook, number: int) -> None:
    printed = "".join(outputs(notebook(number), "text"))
    assert re.findall(r"^solution (\d):", printed, re.M) == list("12345")


@pytest.mark.parametrize("number", RUN)
def test_its_first_cell_installs_and_is_harmless(notebook: Notebook, number: int) -> None:
    first = notebook(number).cells[0]
    assert "%pip install" in first.source
    assert first.execution_count == 1
    assert first.outputs == []


@pytest.fixture(scope="module")
def convert() -> Callable[[Path], dict[str, Any]]:
    sys.path.insert(0, str(TOOL.parent))
    try:
        import notebooks
    finally:
        sys.path.remove(str(TOOL.parent))
    return notebooks.convert


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_lesson_is_a_notebook(script: Path, convert: Callable[[Path], dict[str, Any]]) -> None:
    notebook = nbformat.from_dict(convert(script))
    nbformat.validate(notebook)
    text = "".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    # roles and directives have become Markdown
    assert re.findall(r":\w+:`|^\.\. \w+::", text, re.M) == []
    assert "$" in text or "math" not in script.read_text().partition('"""\n\n')[2]
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assert "%pip install" in code[0]
    # only what installs is imported
    assert re.findall(r"^from _|^import _", "\n".join(code), re.M) == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_it_ends_with_five_exercises_whose_solutions_check(
    script: Path, convert: Callable[[Path], dict[str, Any]]
) -> None:
    cells = nbformat.from_dict(convert(script)).cells
    (start,) = (place for place, cell in enumerate(cells) if "## Exercises" in cell.source)
    questions, solutions = cells[start::2], cells[start + 1 :: 2]
    assert len(questions) == len(solutions) == 5
    for number, (question, solution) in enumerate(zip(questions, solutions, strict=True), start=1):
        assert question.cell_type == "markdown"
        assert f"**{number}. " in question.source
        assert solution.source.startswith(f"# Solution {number}\n")
        assert "\nassert " in solution.source
