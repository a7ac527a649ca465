import re
from functools import partial
from pathlib import Path

import pytest

from minvae_pyro.cli import demo
from minvae_pyro.cli.main import main

QUICK = ["--epochs", "1", "--data.train.init_args.utterances", "2", "--data.validation.init_args.utterances", "1"]


def test_it_prints_a_table_and_keeps_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = partial(demo.demonstrate, training=QUICK)
    monkeypatch.setattr(demo, "demonstrate", quick)
    assert main(["demo", "--output", str(tmp_path / "demo"), "--seed", "2"]) == 0
    heading, *rows, trust, last = capsys.readouterr().out.splitlines()
    assert heading.split() == ["SI-SDR", "dB", "PESQ-wb", "STOI", "ESTOI"]
    assert [row[:17].strip() for row in rows] == ["noisy", "enhanced", "always the mouth", "always the sound"]
    found = re.fullmatch(r"audio responsibility where the video is right (\S+), covered (\S+), frozen (\S+)", trust)
    assert found is not None
    assert float(found[2]) > 0.8
    assert last.endswith(str(tmp_path / "demo"))

    assert main(["demo", "--output", str(tmp_path / "demo")]) == 2
    written = capsys.readouterr()
    assert written.out == ""
    assert "--overwrite" in written.err.splitlines()[-1]
