"""Pages whose blocks run: Python is executed, files are written, commands are given, in the order of the page."""

import importlib
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from minvae_pyro.cli.main import main

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
PAGES = [DOCS / f"{name}.md" for name in ("start", "enhance", "train", "evaluation", "add-your-own-prior", "pyro")]
EVERY_PAGE = [
    *REPOSITORY.glob("*.md"),
    *DOCS.glob("*.md"),
    REPOSITORY / "minvae_pyro" / "checkpoints" / "weights" / "README.md",
]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# file: (\S+)\n")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to be in, whose modules are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("own_"):
            del sys.modules[name]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_of_the_page_runs(page: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = BLOCK.findall(page.read_text())
    names: dict[str, object] = {}
    for language, text in blocks:
        file = FILE.match(text)
        if file:
            (folder / file[1]).write_text(text)
            importlib.invalidate_caches()
        elif language == "python":
            exec(compile(text, str(page), "exec"), names)
        elif language == "console":
            for line in text.replace("\\\n", "").splitlines():
                program, *arguments = shlex.split(line.removeprefix("$ "))
                assert program == "minvae"
                assert main(arguments) == 0, capsys.readouterr().err
    assert {language for language, _ in blocks} >= {"python", "console"}


@pytest.mark.parametrize("page", EVERY_PAGE, ids=lambda page: page.stem)
def test_links_of_the_page_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(((?!http)[^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_pages_have_links() -> None:
    assert sum(len(re.findall(r"\]\((?!http)", page.read_text())) for page in EVERY_PAGE) > 80


def test_every_module_and_package_has_a_place_on_the_page_on_architecture() -> None:
    page = (DOCS / "ARCHITECTURE.md").read_text()
    tops = [REPOSITORY / top for top in ("models", "guides", "minvae_pyro")]
    modules = {source for top in tops for source in top.rglob("[a-z]*.py")}
    folders = {source.parent for source in modules} - {*tops}
    missing = [path.name for path in modules if not re.search(rf"\b{path.name}\b", page)]
    missing += [folder.name for folder in folders if f"{folder.name}/" not in page]
    assert sorted(missing) == []
