import importlib
from types import SimpleNamespace

import pyro
import pytest
import torch

import minvae_pyro
from minvae_pyro.cli import main as command
from minvae_pyro.cli.main import main
from minvae_pyro.errors import UserError


@pytest.fixture
def pretend(monkeypatch):
    """Make the command ``pretend`` run a function."""

    def install(function):
        monkeypatch.setitem(command.COMMANDS, "pretend", ("pretended", "does nothing"))
        monkeypatch.setattr(importlib, "import_module", lambda name: SimpleNamespace(main=function))

    return install


def fails(error):
    def function(arguments):
        raise error

    return function


def test_arguments_and_exit_code_pass_through(pretend):
    seen = []
    pretend(lambda arguments: seen.append(arguments) or 7)
    assert main(["pretend", "--x", "3"]) == 7
    assert seen == [["--x", "3"]]


def test_an_error_of_the_user_is_one_line_and_code_2(pretend, capsys):
    pretend(fails(UserError("this is wrong\nin two lines")))
    assert main(["pretend"]) == 2
    output = capsys.readouterr()
    assert output.err == "minvae pretend: this is wrong in two lines\n"
    assert output.out == ""


def test_ctrl_c_is_one_line_and_code_130(pretend, capsys):
    pretend(fails(KeyboardInterrupt("the same command continues")))
    assert main(["pretend"]) == 130
    assert capsys.readouterr().err == "minvae pretend: interrupted; the same command continues\n"
    pretend(fails(KeyboardInterrupt()))
    assert main(["pretend"]) == 130
    assert capsys.readouterr().err == "minvae pretend: interrupted\n"


def test_a_bug_is_not_hidden(pretend):
    pretend(fails(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        main(["pretend"])


def test_an_unknown_command_is_told(capsys):
    assert main(["enhanse", "x.mp4"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "no command 'enhanse'; did you mean enhance? There are " in error
    assert "prepare" in error
    assert main(["qqq"]) == 2
    assert "no command 'qqq'; there are " in capsys.readouterr().err


def test_help_names_every_command(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"\n  {name} " in text for name in command.COMMANDS)
    assert main(["help"]) == 0
    assert capsys.readouterr().out == text
    assert main([]) == 2


def test_version(capsys):
    assert main(["--version"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"minvae_pyro {minvae_pyro.__version__} (torch {torch.__version__.partition('+')[0]}")
    assert f", pyro-ppl {pyro.__version__}, Python 3." in said


@pytest.mark.parametrize("name", command.COMMANDS)
def test_every_command_has_help(name, capsys):
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert f"minvae {name}" in text
    with pytest.raises(SystemExit):
        main(["help", name])
    assert capsys.readouterr().out == text
