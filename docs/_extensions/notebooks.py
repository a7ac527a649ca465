"""The lessons as notebooks: ``python docs/_extensions/notebooks.py FOLDER [NUMBER ...]`` converts and runs them.

The scripts in examples/ are the source, for these notebooks and for those that the pages offer.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sphinx_gallery.gen_gallery import DEFAULT_GALLERY_CONF
from sphinx_gallery.notebook import jupyter_notebook
from sphinx_gallery.py_source_parser import split_code_and_text_blocks

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

FIRST_CELL = """\
# Installs the package from your copy of the repository where it is missing; elsewhere nothing happens.
import importlib.util

REPOSITORY = "."
if importlib.util.find_spec("minvae_pyro") is None:
    %pip install --quiet "{REPOSITORY}[notebooks]"
"""

_EQUATION = re.compile(r":eq:`([\w-]+)`")


def convert(script: Path) -> dict[str, Any]:
    """A lesson as a notebook, not run: text in Markdown, code in cells, the installation before all."""
    _, blocks = split_code_and_text_blocks(str(script))
    gallery = {**DEFAULT_GALLERY_CONF, "first_notebook_cell": FIRST_CELL}
    notebook: dict[str, Any] = jupyter_notebook(blocks, gallery, str(script.parent))
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        # equations are numbered by the page on the mathematics, which is not at hand here
        cell["source"] = _EQUATION.sub(r"*\1*", source) if cell["cell_type"] == "markdown" else source
    return notebook


def run(script: Path, folder: Path) -> Path:
    """Convert a lesson, run it in the folder and write it there with its outputs.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    import nbclient
    import nbformat

    notebook = nbformat.from_dict(convert(script))
    nbclient.NotebookClient(notebook, timeout=None, resources={"metadata": {"path": str(folder)}}).execute()
    path = folder / f"{script.stem}.ipynb"
    nbformat.write(notebook, path)
    return path


def main(arguments: Sequence[str]) -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description="Run the lessons as notebooks.")
    parser.add_argument("folder", type=Path, help="where they go; made when missing")
    parser.add_argument("numbers", type=int, nargs="*", help="of the lessons; all by default")
    given = parser.parse_args(arguments)
    given.folder.mkdir(parents=True, exist_ok=True)
    for script in sorted(EXAMPLES.glob("[0-9]*.py")):
        if not given.numbers or int(script.name[:2]) in given.numbers:
            print(run(script, given.folder), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
