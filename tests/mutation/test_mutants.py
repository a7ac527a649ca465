"""The faults that `make mutate` tries: each changes one thing, and nothing else is touched."""

import ast
import runpy
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
mutants: Any = runpy.run_path(str(Path(__file__).with_name("mutants.py")))["mutants"]


def faults(body: str) -> set[str]:
    """What stands in the place of the body of a function, by every mutant."""
    source = f"def f(x, mask):\n    {body}\n"
    return {mutant.source.removeprefix("def f(x, mask):\n    ").removesuffix("\n") for mutant in mutants(source)}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return x < mask", {"return (x <= mask)"}),
        ("return x - mask", {"return (x + mask)"}),
        ("return x * mask", {"return (x / mask)", "return x", "return mask"}),
        ("return x & ~mask", {"return (x | ~mask)", "return x", "return (~mask)", "return x & mask"}),
        ("return x and mask", {"return (x or mask)", "return x", "return mask"}),
        ("return 0.6", {"return (1.2)"}),
        ("return 3", {"return (4)"}),
        ("return True", {"return (False)"}),
        ("return x if mask else -x", {"return x", "return (-x)", "return x if mask else x"}),
        ("return torch.where(mask, x, 0)", {"return x", "return (0)", "return torch.where(mask, x, 1)"}),
        ("return x.sqrt()", {"return x"}),
        ("return x.sum()", {"return x.mean()"}),
        ("return g(x, floor=mask)", {"return g(x)"}),
        ("g(x)", {"pass"}),
        ("raise ValueError(f'{x * 2}')", {"pass"}),
        ("assert x * 2", set()),
        ("y: tuple[x, 2] = x + mask", {"y: tuple[x, 2] = (x - mask)"}),
    ],
)
def test_faults_are_known_by_hand(body: str, expected: set[str]) -> None:
    # what stands there is replaced as a whole, in brackets where it needs them
    assert {ast.unparse(ast.parse(one)) for one in faults(body)} == {ast.unparse(ast.parse(one)) for one in expected}


def test_settings_are_no_arithmetic() -> None:
    assert (
        mutants("FLOOR = 1e-9\n\nclass Engine:\n    steps: int = 2\n\n    def run(self, rate=0.5):\n        pass\n")
        == []
    )


def test_a_gradient_comes_back() -> None:
    source = (
        "class A:\n    @torch.no_grad()\n    def f(self):\n        '''Do.'''\n        with g():\n            h = 1\n"
    )
    (found,) = [mutant for mutant in mutants(source) if mutant.kind == "gradient"]
    body = ast.parse(found.source).body[0].body[0].body  # type: ignore[attr-defined]
    assert [ast.unparse(part) for part in body[1:]] == ["torch.set_grad_enabled(True)", "with g():\n    h = 1"]
    assert (found.line, found.function) == (5, 2)


@pytest.mark.parametrize("file", ["models/noise.py", "minvae_pyro/inference/fast.py", "guides/responsibility.py"])
def test_every_mutant_of_the_heart_compiles_and_differs_in_its_function_alone(file: str) -> None:
    source = (REPOSITORY / file).read_text()
    before = ast.parse(source).body
    for mutant in mutants(source):
        after = ast.parse(mutant.source).body
        changed = [one for one, other in zip(before, after, strict=True) if ast.dump(one) != ast.dump(other)]
        assert len(changed) == 1, mutant
        assert changed[0].lineno <= mutant.line <= (changed[0].end_lineno or 0)
