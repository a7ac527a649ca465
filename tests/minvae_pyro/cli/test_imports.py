"""A command imports what it needs: the rest would cost seconds."""

import subprocess
import sys

import pytest

HEAVY = ("lightning", "pandas", "matplotlib", "IPython", "scipy.signal", "scipy.stats", "torch._dynamo", "joblib")


@pytest.mark.parametrize(
    ("arguments", "code", "absent"),
    [
        (["--help"], 0, ("torch", "jsonargparse", *HEAVY)),
        *(
            ([command, "--help"], 0, ("torch", *HEAVY))
            for command in ("enhance", "prepare", "demo", "list", "import", "web")
        ),
        (["enhance", "missing.wav", "--noise", "Foo"], 2, ("torch", *HEAVY)),
        (["enhance", sys.executable, "--noise", "Foo"], 2, HEAVY),
        (["enhance", "--engine.help", "fast"], 0, HEAVY),
        (["list", "priors"], 0, HEAVY),
        (["train", "--help"], 0, HEAVY),
        (["train", "--prior", "Foo"], 2, HEAVY),
    ],
)
def test_a_command_waits_for_nothing_that_it_does_not_use(
    arguments: list[str], code: int, absent: tuple[str, ...]
) -> None:
    program = (
        "import sys\nfrom minvae_pyro.cli.main import main\n"
        f"try:\n    code = main({arguments!r})\nexcept SystemExit as stop:\n    code = stop.code\n"
        f"assert code == {code}, code\n"
        f"found = [name for name in {absent!r} if name in sys.modules]\nassert not found, found\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
