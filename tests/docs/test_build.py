"""The documentation builds offline without a warning, and nothing public is missing from it."""

import ast
import functools
import importlib
import inspect
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from sphinx.util.inventory import InventoryFile

from minvae_pyro.cli.main import COMMANDS

REPOSITORY = Path(__file__).parents[2]
PACKAGES = {"minvae_pyro": "minvae_pyro", "models": "minvae_pyro.models", "guides": "minvae_pyro.guides"}
COLUMNS = 88
"""Of code: so much fits beside both side bars."""
WIDER = {"ARCHITECTURE.html"}
EQUATION = re.compile(r"^\$\$ \(([a-z-]+)\)$", re.MULTILINE)


@dataclass
class Built:
    folder: Path
    said: str
    code: int

    @functools.cached_property
    def pages(self) -> dict[Path, BeautifulSoup]:
        return {path: BeautifulSoup(path.read_text(), "html.parser") for path in self.folder.rglob("*.html")}

    def page(self, name: str) -> BeautifulSoup:
        return self.pages[self.folder / f"{name}.html"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The pages, lessons not run: built from a copy, since the gallery writes beside its sources."""
    repository = tmp_path_factory.mktemp("repository")
    for part in REPOSITORY.iterdir():
        if part.name == "docs":
            shutil.copytree(part, repository / "docs", ignore=shutil.ignore_patterns("lessons", "__pycache__"))
        elif part.is_file():
            shutil.copy(part, repository)
        elif not part.name.startswith("."):
            (repository / part.name).symlink_to(part)
    output = repository.parent / "html"
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-D", "plot_gallery=0", "docs", str(output)],
        cwd=repository, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return Built(output, done.stderr, done.returncode)


def public() -> dict[str, ast.AST]:
    """Every public module, class and function of the sources, by its dotted name."""
    found: dict[str, ast.AST] = {}
    for top, name in PACKAGES.items():
        for source in sorted((REPOSITORY / top).rglob("*.py")):
            parts = source.relative_to(REPOSITORY / top).with_suffix("").parts
            if any(part.startswith("_") and part != "__init__" for part in parts):
                continue
            module = ".".join([name, *parts]).removesuffix(".__init__")
            found[module] = tree = ast.parse(source.read_text())
            for node in tree.body:
                if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                    found[f"{module}.{node.name}"] = node
    return found


def test_the_build_has_no_warnings(built: Built) -> None:
    assert built.said == ""
    assert built.code == 0


def test_everything_public_has_a_docstring() -> None:
    assert len(public()) > 200
    assert [name for name, node in public().items() if not ast.get_docstring(node)] == []


def test_everything_public_is_in_the_reference(built: Built) -> None:
    inventory = InventoryFile.loads((built.folder / "objects.inv").read_bytes(), uri="")
    known = {name for kind in inventory.data if kind.startswith("py:") for name in inventory.data[kind]}
    # what a package re-exports stands under the name by which it is imported
    shorter = {
        f"{part.__module__}.{name}"
        for package in map(importlib.import_module, known & set(inventory.data["py:module"]))
        for name, part in inspect.getmembers(package)
        if f"{package.__name__}.{name}" in known and hasattr(part, "__module__")
    }
    assert sorted(public().keys() - known - shorter) == []


def test_every_equation_has_one_number_and_one_place(built: Built) -> None:
    names = EQUATION.findall((REPOSITORY / "docs" / "mathematics.md").read_text())
    page = built.page("mathematics")
    assert len(names) > 30
    assert [len(page.find_all(id=f"equation-{name}")) for name in names] == [1] * len(names)
    numbers = [span.get_text().strip("¶") for span in page.find_all(class_="eqno")]
    assert numbers == [f"({number})" for number in range(1, len(names) + 1)]


def test_every_equation_is_named_where_it_is_computed() -> None:
    code = "".join(source.read_text() for top in PACKAGES for source in (REPOSITORY / top).rglob("*.py"))
    names = EQUATION.findall((REPOSITORY / "docs" / "mathematics.md").read_text())
    assert [name for name in names if f":eq:`{name}`" not in code] == []


def test_equations_are_drawn_by_mathjax_that_lies_beside_the_pages(built: Built) -> None:
    assert len(built.page("mathematics").find_all(class_="math")) > 100
    for path, page in built.pages.items():
        if page.find_all(class_="math"):
            (script,) = page.find_all("script", src=re.compile("tex-svg"))
            assert (path.parent / script["src"].partition("?")[0]).is_file(), path.name


def test_mathjax_knows_every_command_without_fetching_more(built: Built) -> None:
    mathjax = (built.folder / "_static" / "tex-svg.js").read_text()
    within = re.sub(r'create\("autoload".*?\}\)', "", mathjax, count=1)  # what it would look for in other files
    equations = {tag.get_text() for page in built.pages.values() for tag in page.find_all(class_="math")}
    commands = {command for text in equations for command in re.findall(r"\\([A-Za-z]+)", text)}
    assert len(commands) > 50
    assert [name for name in commands if not re.search(rf'[{{,](?:"\\\\)?{name}"?:', within)] == []
    for text in equations:
        assert len(re.findall(r"\\left\b", text)) == len(re.findall(r"\\right\b", text)), text
        assert len(re.findall(r"(?<!\\)\{", text)) == len(re.findall(r"(?<!\\)\}", text)), text


def test_docstrings_lead_to_equations(built: Built) -> None:
    page = built.page("api/models")
    story = page.find(id="minvae_pyro.models.MinVAE").parent
    links = [link["href"] for link in story.find_all("a", class_="internal")]
    assert "../mathematics.html#equation-mixture-story" in links


def test_links_into_the_repository_lead_to_the_reference_and_to_lessons(built: Built) -> None:
    links = {link.get_text(): link["href"] for link in built.page("mathematics").find_all("a")}
    assert links["models/min_vae.py"] == "api/models.html#module-minvae_pyro.models.min_vae"
    assert links["examples/"] == "lessons/index.html"
    front = {link.get_text(): link["href"] for link in built.page("readme").find_all("a")}
    assert front["docs/results.md"] == "results.html"
    assert front["credits"].startswith("_downloads/")


def test_pages_fetch_nothing(built: Built) -> None:
    for path, page in built.pages.items():
        sources = [tag["src"] for tag in page.find_all(src=True)] + [tag["href"] for tag in page.find_all("link")]
        assert [source for source in sources if re.match(r"(https?:)?//", source)] == [], path.name


def test_styles_fetch_nothing(built: Built) -> None:
    styles = {path: path.read_text() for path in built.folder.rglob("*.css")}
    styles |= {path: "".join(tag.get_text() for tag in page.find_all("style")) for path, page in built.pages.items()}
    fetched = re.compile(r"(?:url\(|@import)\s*[\"']?\s*(?:https?:)?//[^)\"';]*")
    assert {path: found for path, text in styles.items() if (found := fetched.findall(text))} == {}
    assert len(styles) > 30


def test_no_control_characters_are_on_the_pages(built: Built) -> None:
    files = [*built.pages, built.folder / "searchindex.js"]
    strange = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
    assert [path.name for path in files if strange.search(path.read_text())] == []


def test_code_is_no_wider_than_a_page(built: Built) -> None:
    lines = [
        (str(path.relative_to(built.folder)), line)
        for path, page in built.pages.items()
        if not path.is_relative_to(built.folder / "lessons")
        for block in page.find_all("pre")
        for line in block.get_text().splitlines()
    ]
    assert [(page, line) for page, line in lines if len(line) > COLUMNS and page not in WIDER] == []
    assert len(lines) > 1500


def test_no_link_between_pages_is_broken(built: Built) -> None:
    places = {path: {tag["id"] for tag in page.find_all(id=True)} for path, page in built.pages.items()}
    broken = []
    for path, page in built.pages.items():
        for link in page.find_all("a", href=True):
            target, _, place = link["href"].partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            there = Path(os.path.normpath(path.parent / target)) if target else path
            if not there.exists() or (place and there.suffix == ".html" and place not in places[there]):
                broken.append(f"{path.relative_to(built.folder)}: {link['href']}")
    assert broken == []


def test_every_command_says_what_it_does(built: Built) -> None:
    text = built.page("commands").get_text()
    assert [name for name in COMMANDS if f"usage: minvae {name} " not in text] == []
