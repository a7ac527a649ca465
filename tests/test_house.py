"""The house: which folders there are, which way imports point, and that nothing lies about."""

import ast
import configparser
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import minvae_pyro

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGES = {"minvae_pyro": "minvae_pyro", "models": "minvae_pyro.models", "guides": "minvae_pyro.guides"}

# Lowest first: an import may point down this list only, wherever it stands.
ORDER = (
    *("errors", "version", "utterances", "probability", "files", "media", "nn", "audio", "models", "guides", "video"),
    *("corpora", "plots", "registry", "synthetic", "checkpoints", "training", "inference", "enhancement", "evaluation"),
    *("adaptation", "ablation", "lessons", "cli", "web"),
)
LOOSE = {"__init__.py", "errors.py", "files.py", "utterances.py", "version.py"}
# What finds a command, or a public name, when it is asked for.
MAY_IMPORT_BY_NAME = {"minvae_pyro.cli.main", "minvae_pyro"}


def installed_name(source: Path) -> str:
    """Dotted name under which a module or package of the repository installs."""
    top, *rest = source.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join([PACKAGES[top], *rest]).removesuffix(".__init__")


@cache
def sources() -> dict[str, Path]:
    """The file of every module."""
    return {installed_name(file): file for top in PACKAGES for file in (REPOSITORY / top).rglob("*.py")}


@cache
def imports() -> tuple[tuple[str, str], ...]:
    """(module, what it imports), imports within functions and by ``importlib`` included."""
    return tuple((module, name) for module, file in sources().items() for name in _imported(file))


def _imported(source: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source} imports relatively, which hides where it points"
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "import_module":
            yield from (arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str))


def module_of(name: str) -> str | None:
    """The module of ours that an imported name leads to."""
    while name and name not in sources():
        name = name.rpartition(".")[0]
    return name or None


def edges() -> list[tuple[str, str]]:
    """Which module imports which, without the packages' lists of public names."""
    facades = {module for module, file in sources().items() if file.name == "__init__.py"}
    found = {(module, module_of(name)) for module, name in imports()}
    return [(a, b) for a, b in sorted(found, key=str) if b is not None and a != b and not {a, b} & facades]


def room(module: str) -> str:
    """The folder, or the file directly in the package, that a module belongs to."""
    return module.split(".")[1]


def test_setup_lists_every_package() -> None:
    # An editable installation works without the line that a regular one needs.
    setup = configparser.ConfigParser()
    setup.read(REPOSITORY / "setup.cfg")
    listed = setup["options"]["packages"].split()
    found = [module for module, file in sources().items() if file.name == "__init__.py"]
    assert sorted(listed) == sorted(found)


def test_every_folder_with_code_is_a_package() -> None:
    folders = {file.parent for file in sources().values()}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_nothing_lies_about_directly_in_the_package() -> None:
    assert {file.name for file in (REPOSITORY / "minvae_pyro").glob("*.py")} == LOOSE


def test_every_folder_has_its_place_in_the_order() -> None:
    assert {room(module) for module in sources() if "." in module} == set(ORDER)


def test_imports_point_down_the_order() -> None:
    rank = {name: number for number, name in enumerate(ORDER)}
    assert [(a, b) for a, b in edges() if rank[room(b)] > rank[room(a)]] == []


def test_no_module_imports_itself_on_some_way() -> None:
    above: dict[str, set[str]] = {}
    for a, b in edges():
        above.setdefault(a, set()).add(b)
    circles, done = [], set()

    def walk(module: str, path: tuple[str, ...]) -> None:
        if module in path:
            circles.append((*path[path.index(module) :], module))
        elif module not in done:
            for other in above.get(module, ()):
                walk(other, (*path, module))
            done.add(module)

    for module in above:
        walk(module, ())
    assert circles == []


def test_modules_are_imported_by_name_only_where_they_are_asked_for() -> None:
    wrong = [
        module
        for module, file in sources().items()
        if "import_module" in file.read_text() and module not in MAY_IMPORT_BY_NAME
    ]
    # the class that a user names by its import path is imported in one place
    assert wrong == ["minvae_pyro.registry.names"]


def test_tests_mirror_the_packages() -> None:
    """A file of tests stands in the folder of its module and begins with its name."""
    mirrored = [REPOSITORY / "tests" / top for top in PACKAGES]
    for file in (file for folder in mirrored for file in folder.rglob("test_*.py")):
        folder = REPOSITORY / file.parent.relative_to(REPOSITORY / "tests")
        assert folder.is_dir(), f"{file} tests a folder that there is not"
    untested = []
    for module, source in sources().items():
        folder = REPOSITORY / "tests" / source.parent.relative_to(REPOSITORY)
        tests = os.listdir(folder) if folder.is_dir() else []
        if source.name != "__init__.py" and not any(name.startswith("test_") for name in tests):
            untested.append(module)
    assert untested == []


def test_citation_names_this_version() -> None:
    assert f"version: {minvae_pyro.__version__}\n" in (REPOSITORY / "CITATION.cff").read_text()
