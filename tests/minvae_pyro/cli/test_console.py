"""Whatever the standard streams are, and whatever files are called: the right result, or one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from minvae_pyro.cli.console import CommandParser, printable, say, tell
from minvae_pyro.cli.main import main
from minvae_pyro.errors import UserError

RED = "a\x1b[31m\x07\u202e.wav"
# a command that loads no torch, says one line on each stream, and ends well
SPEAKS = "from minvae_pyro.cli import console as c\nc.open_streams()\nc.tell('told')\nc.say('said')\nc.finish()\n"
RUNS = "import sys\nfrom minvae_pyro.cli.main import main\nsys.exit(main({arguments!r}))\n"


def shell(command: str, program: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a program for Python in a line of the shell, which names it as $RUN."""
    run = {**os.environ, "PYTHON": sys.executable, "PROGRAM": program, **environment}
    line = command.replace("$RUN", '"$PYTHON" -c "$PROGRAM"')
    return subprocess.run(["bash", "-o", "pipefail", "-c", line], capture_output=True, env=run, check=False, timeout=60)


def test_what_a_terminal_would_obey_is_escaped() -> None:
    assert printable(RED) == "a\\x1b[31m\\x07\\u202e.wav"
    assert printable("\udc80\x9b\t\r\nñ") == "\\udc80\\x9b\\t\\r\nñ"
    assert all(printable(chr(code)).isprintable() or code == 10 for code in range(0x3000))


def test_lines_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    say(RED)
    tell(f"one\n{RED}")
    assert capsys.readouterr() == ("a\\x1b[31m\\x07\\u202e.wav\n", "one a\\x1b[31m\\x07\\u202e.wav\n")


@pytest.mark.parametrize(
    "arguments",
    [
        [RED],
        ["enhance", RED],
        ["enhance", "x.wav", f"--{RED}"],
        ["evaluate", "--output", "x", "--mixtures", RED],
        ["evaluate", "--output", "x", RED],
        ["prepare", RED],
        ["prepare", "grid", RED, "x"],
        ["train", "--config", RED],
        ["list", RED],
        ["adapt", RED, "--output", "x.safetensors"],
    ],
)
def test_names_are_escaped_in_whatever_is_wrong(
    arguments: list[str], capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capfd.readouterr().err
    assert error.count("\n") == 1
    assert "a\\x1b[31m" in error or repr(RED)[1:-1] in error
    assert "\x1b" not in error


def test_arguments_that_are_wrong_are_one_line() -> None:
    parser = CommandParser(prog="minvae do")
    parser.add_argument("--count", type=int)
    with pytest.raises(UserError, match=r"argument --count: invalid int value: 'x'; see minvae do --help\."):
        parser.parse_args(["--count", "x"])


@pytest.mark.parametrize(
    ("command", "out", "error"),
    [
        ("$RUN 2>&-", b"said\n", b""),
        ("$RUN >&-", b"", b"told\n"),
        ("$RUN <&- >&- 2>&-", b"", b""),
        ("$RUN 2>/dev/full", b"said\n", b""),
        ("$RUN | head -c 0", b"", b"told\n"),
        ("$RUN 2>&1 >/dev/null | head -c 0", b"", b""),
    ],
)
def test_streams_that_are_closed_stop_nothing(command: str, out: bytes, error: bytes) -> None:
    done = shell(command, SPEAKS)
    assert (done.returncode, done.stdout, done.stderr) == (0, out, error)


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["list", "engines"], ["list", "--json", "engines"]])
def test_a_full_disk_under_standard_output_is_one_line(arguments: list[str]) -> None:
    done = shell("$RUN > /dev/full", RUNS.format(arguments=arguments))
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    assert b"cannot write to standard output (No space left on device)" in done.stderr


def test_a_pipe_that_nobody_reads_is_no_error() -> None:
    done = shell("$RUN | head -c 0", RUNS.format(arguments=["list", "engines"]))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize(
    "locale",
    [{"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}],
)
def test_a_locale_without_letters(locale: dict[str, str]) -> None:
    program = "import os, sys\nfrom minvae_pyro.cli.main import main\nsys.exit(main(['enhance', os.environ['NAME']]))\n"
    done = shell("$RUN", program, NAME="größe-語.wav", **locale)
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    assert b"gr\\xf6\\xdfe-\\u8a9e.wav" in done.stderr or b"gr\\udcc3" in done.stderr


def test_a_current_folder_that_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    program = RUNS.format(arguments=["enhance", "x.wav"])
    done = shell(f"cd {folder} && rmdir {folder} && $RUN", program, PYTHONPATH=str(Path(__file__).parents[3]))
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1:] == [b"minvae enhance: there is no file x.wav: give a sound or video file."]


@pytest.mark.parametrize("folder", [".", "..", "/", "folder"])
def test_a_folder_needs_one_to_write_into(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    assert main(["enhance", folder]) == 2
    expected = f"minvae enhance: {folder} is a folder: give --output FOLDER, where a file of each is written.\n"
    assert capsys.readouterr().err == expected


def test_what_the_system_refuses_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["enhance", "x" * 300]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "File name too long" in error


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, which needs root")
def test_a_folder_of_another_user(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "x.wav").write_bytes(b"")
    for arguments in (["enhance", str(closed / "x.wav")], ["prepare", "folder", str(closed), "x"]):
        program = "import os, rich.progress, colorsys, minvae_pyro.corpora.prepare\n"
        program += "import minvae_pyro.cli.enhance, minvae_pyro.cli.prepare\n"
        program += "from minvae_pyro.cli.main import main\nos.seteuid(65534)\n"
        done = shell("$RUN", program + f"raise SystemExit(main({arguments!r}))\n")
        assert done.returncode == 2, done.stderr
        assert done.stderr.count(b"\n") == 1
        assert b"Permission denied" in done.stderr
