"""Files are opened as files, whatever their names."""

import os

import pytest

from minvae_pyro.audio.files import read_sound
from minvae_pyro.errors import UserError
from minvae_pyro.media.container import open_media
from minvae_pyro.video.frames import read_frames


@pytest.mark.parametrize(
    "name", ["10:30.mkv", "http:a.mkv", "-i.mkv", "take%03d.mkv", "a b #1?.mkv", "ä\udcff.mkv", "concat:a|b.mkv"]
)
def test_names_are_no_protocols_and_no_patterns(tmp_path, monkeypatch, make_film, name):
    monkeypatch.chdir(tmp_path)
    os.rename(make_film(tmp_path / "plain.mkv"), name)
    for path in (name, f"./{name}", tmp_path / name):
        assert read_sound(path).seconds == pytest.approx(2.0, abs=0.05)
        assert len(list(read_frames(path))) == 50


def test_what_ffmpeg_says_is_one_line(tmp_path):
    (tmp_path / "a.mkv").write_bytes(b"nothing" * 100)
    with pytest.raises(UserError, match=r"^cannot read [^\n]*a\.mkv: [^\n]+$"), open_media(tmp_path / "a.mkv"):
        pass
