"""``minvae web`` refuses in one line what cannot work, before anything is loaded."""

import socket

import pytest

from minvae_pyro.cli.main import main
from minvae_pyro.web import command


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["web", "--no-browser", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_without_gradio_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: None)
    assert "pip install 'minvae_pyro[web]'" in complaint(capsys)


@pytest.fixture
def gradio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: object())


@pytest.mark.usefixtures("gradio")
def test_a_port_that_is_taken_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert f"cannot listen on port {port} of 127.0.0.1" in complaint(capsys, "--port", port)


@pytest.mark.usefixtures("gradio")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--port", "0"), "there is no port 0"),
        (("--port", "70000"), "there is no port 70000"),
        (("--port", "many"), "invalid int value"),
        (("--host", "192.0.2.1"), "of 192.0.2.1 (Cannot assign requested address)"),
        (("--max-size", "-1"), "--max-size -1"),
        (("--max-seconds", "nan"), "--max-seconds nan"),
    ],
)
def test_what_cannot_be_is_refused(arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said in complaint(capsys, *arguments)


def test_it_listens_to_this_machine_alone_unless_told() -> None:
    given = command.parser().parse_args([])
    assert (given.host, given.port, given.no_browser) == ("127.0.0.1", 7860, False)
