import ast
import configparser
from collections.abc import Iterator
from pathlib import Path

import minvae_pyro

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGES = {"minvae_pyro": "minvae_pyro", "models": "minvae_pyro.models", "guides": "minvae_pyro.guides"}


def installed_name(source: Path) -> str:
    """Dotted name under which a module or package of the repository installs."""
    top, *rest = source.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join([PACKAGES[top], *rest]).removesuffix(".__init__")


def imports() -> Iterator[tuple[str, str]]:
    """Yield (module, what it imports) over the three packages, imports within functions included."""
    for top in PACKAGES:
        for source in (REPOSITORY / top).rglob("*.py"):
            for node in ast.walk(ast.parse(source.read_text())):
                if isinstance(node, ast.Import):
                    yield from ((installed_name(source), name.name) for name in node.names)
                elif isinstance(node, ast.ImportFrom):
                    assert node.level == 0, f"{source} imports relatively, which hides where it points"
                    yield from ((installed_name(source), f"{node.module}.{name.name}") for name in node.names)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def test_setup_lists_every_package():
    # An editable installation works without the line that a regular one needs.
    setup = configparser.ConfigParser()
    setup.read(REPOSITORY / "setup.cfg")
    listed = setup["options"]["packages"].split()
    found = [installed_name(init) for top in PACKAGES for init in (REPOSITORY / top).rglob("__init__.py")]
    assert sorted(listed) == sorted(found)


def test_every_folder_with_code_is_a_package():
    folders = {source.parent for top in PACKAGES for source in (REPOSITORY / top).rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_models_know_nothing_of_guides():
    wrong = [
        (module, target)
        for module, target in imports()
        if within(module, "minvae_pyro.models") and within(target, "minvae_pyro.guides")
    ]
    assert wrong == []


def test_only_the_command_line_imports_the_command_line():
    wrong = [
        (module, target)
        for module, target in imports()
        if within(target, "minvae_pyro.cli") and not within(module, "minvae_pyro.cli")
    ]
    assert wrong == []


def test_citation_names_this_version():
    assert f"version: {minvae_pyro.__version__}\n" in (REPOSITORY / "CITATION.cff").read_text()
