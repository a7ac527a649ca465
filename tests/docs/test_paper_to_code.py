"""The page that leads from the paper to the code shows statements that are there."""

import ast
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "paper-to-code.md").read_text()
BLOCK = re.compile(r"^```python\n# (\S+): ([^\n]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def definition(tree: ast.Module, dotted: str) -> ast.AST:
    """A class, function or method by its name within a module."""
    found: ast.AST = tree
    for name in dotted.split("."):
        found = next(
            node
            for node in getattr(found, "body", [])
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name
        )
    return found


def statements(tree: ast.AST) -> list[str]:
    """Each statement as Python writes it, so that a wide one may be wrapped on the page."""
    found = [node for node in ast.walk(tree) if isinstance(node, ast.stmt) and not hasattr(node, "body")]
    return [ast.unparse(node) for node in sorted(found, key=lambda node: node.lineno)]


def missing(block: tuple[str, str, str]) -> list[str]:
    """The statements of a block that do not stand in the definitions it names, in this order."""
    file, names, lines = block
    tree = ast.parse((REPOSITORY / file).read_text())
    there = iter([line for name in names.split(", ") for line in statements(definition(tree, name))])
    return [line for line in statements(ast.parse(lines)) if line not in there]


@pytest.mark.parametrize("block", BLOCK.findall(PAGE), ids=lambda block: block[1])
def test_the_statements_stand_where_the_page_says(block: tuple[str, str, str]) -> None:
    assert missing(block) == []


def test_every_block_names_its_place_and_every_file_has_a_link() -> None:
    blocks = BLOCK.findall(PAGE)
    assert len(blocks) == PAGE.count("```python") > 20
    for file in {block[0] for block in blocks} - {"models/speech_prior.py", "minvae_pyro/training/noise.py"}:
        assert f"[{file}](../{file})" in PAGE


def test_a_line_that_is_gone_or_a_definition_that_has_moved_is_noticed() -> None:
    assert missing(("models/min_vae.py", "MinVAE.latent", "beta = 1\n")) == ["beta = 1"]
    with pytest.raises(StopIteration):
        missing(("models/min_vae.py", "MinVAE.no_such", ""))


def test_what_the_design_states_of_the_model_is_on_the_page() -> None:
    for statement in (
        "Bernoulli}(\\pi)",
        "logit} \\pi + L^a_n - L^v_n",
        "g \\, \\sigma^2_f(z_n) + b_{fn}",
        "r_n L^a_n",
    ):
        assert statement in PAGE, statement
