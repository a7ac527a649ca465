import numpy as np
import pytest
import soundfile

from minvae_pyro.cli.main import main
from minvae_pyro.cli.progress import _Lines
from minvae_pyro.corpora.manifest import read_manifest, read_stft


@pytest.fixture
def recordings(tmp_path):
    folder = tmp_path / "recordings"
    folder.mkdir()
    soundfile.write(folder / "a.wav", np.random.default_rng(0).standard_normal(8000) / 10, 16000)
    return folder


def test_a_folder_is_prepared(recordings, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["prepare", "folder", str(recordings), str(out), "--hop", "256", "--workers", "1"]) == 0
    assert [e.id for e in read_manifest(out)] == ["a"]
    assert read_stft(out).hop == 256
    output = capsys.readouterr()
    assert "1 clips (0 with a mouth)" in output.out
    assert output.err == ""


def test_talkers_are_held_out_in_a_folder_of_their_own(tmp_path, capsys):
    for talker in ("ann", "bob", "eve"):
        (tmp_path / "all" / talker).mkdir(parents=True)
        for name in ("1.wav", "2.wav"):
            sound = np.random.default_rng(0).standard_normal(8000) / 10
            soundfile.write(tmp_path / "all" / talker / name, sound, 16000)
    arguments = ["prepare", "folder", str(tmp_path / "all"), str(tmp_path / "out"), "--workers", "1"]
    assert main([*arguments, "--hold-out", "talker:0.3"]) == 0
    stays, held = ({e.speaker for e in read_manifest(tmp_path / name)} for name in ("out", "out-held-out"))
    assert (len(stays), len(held), stays | held) == (2, 1, {"ann", "bob", "eve"})
    lines = capsys.readouterr().out.splitlines()
    assert "4 clips (0 with a mouth) of 2 talkers" in lines[0]
    assert "2 clips (0 with a mouth) of 1 talker," in lines[1]
    # the folder knows which part it is
    assert main([*arguments, "--hold-out", "talker:0.3"]) == 0
    assert "4 were there before" in capsys.readouterr().out
    assert main(arguments) == 2
    assert "another part (all but talker:0.3)" in capsys.readouterr().err


def test_clips_left_out_are_listed(recordings, tmp_path, capsys):
    (recordings / "bad.wav").write_bytes(b"no sound")
    assert main(["prepare", "folder", str(recordings), str(tmp_path / "out"), "--workers", "1"]) == 0
    output = capsys.readouterr()
    assert output.err.startswith("left out bad: ")
    assert output.err.count("\n") == 1
    assert "1 left out" in output.out


@pytest.mark.parametrize(
    ("kind", "source", "options", "message"),
    [
        ("folder", "nowhere", [], "is not a folder"),
        ("grid", "recordings", [], "holds no video files"),
        ("folder", "recordings", ["--hop", "2000"], "choose another --hop"),
        ("folder", "recordings", ["--hold-out", "talker:9"], "give talker:0.1"),
        ("folder", "recordings", ["--hold-out", "talker:0.1"], "only one talker"),
    ],
)
def test_mistakes_are_one_line_and_code_2(recordings, tmp_path, capsys, kind, source, options, message):
    out = tmp_path / "out"
    assert main(["prepare", kind, str(tmp_path / source), str(out), "--workers", "1", *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not out.exists()


def test_nothing_usable_is_code_2(tmp_path, capsys):
    folder = tmp_path / "recordings"
    folder.mkdir()
    (folder / "bad.wav").write_bytes(b"no sound")
    assert main(["prepare", "folder", str(folder), str(tmp_path / "out"), "--workers", "1"]) == 2
    assert "none of the 1 clips" in capsys.readouterr().err


def test_an_unknown_kind_is_code_2(tmp_path, capsys):
    assert main(["prepare", "timit", str(tmp_path), str(tmp_path / "out")]) == 2
    assert "timit" in capsys.readouterr().err


def test_ctrl_c_keeps_finished_clips(recordings, tmp_path, capsys, monkeypatch):
    (recordings / "b.wav").write_bytes((recordings / "a.wav").read_bytes())
    out = tmp_path / "out"
    arguments = ["prepare", "folder", str(recordings), str(out), "--workers", "1"]
    original = _Lines.__call__

    def interrupted(self, *args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(_Lines, "__call__", interrupted)
    assert main(arguments) == 130
    assert capsys.readouterr().err == "minvae prepare: interrupted; the same command continues where it stopped\n"
    monkeypatch.setattr(_Lines, "__call__", original)
    assert main(arguments) == 0
    assert "2 clips" in (text := capsys.readouterr().out)
    assert "1 were there before" in text


def test_tracks_are_chosen_and_said(make_film, tmp_path, capsys):
    films = tmp_path / "films"
    films.mkdir()
    make_film(films / "a.mkv", tracks="vaa")
    make_film(films / "b.mkv", tracks="vas")

    def prepared(name, *tracks):
        return main(["prepare", "folder", str(films), str(tmp_path / name), "--workers", "1", *tracks])

    assert prepared("usual") == 0
    note = "of 2 sound tracks number 1 was used: --audio-track chooses another"
    assert capsys.readouterr().err == f"note: a: {note}\nnote: b: {note}\n"
    assert prepared("second", "--audio-track", "2", "--video-track", "1") == 0
    told = capsys.readouterr().err
    assert told == f"left out b: {films / 'b.mkv'} is silent: there is no speech to learn from.\n"
    assert [entry.id for entry in read_manifest(tmp_path / "second")] == ["a"]
    assert prepared("second", "--audio-track", "1", "--video-track", "1") == 2
    assert "was prepared with another audio_track (2)" in capsys.readouterr().err
    assert prepared("third", "--audio-track", "3") == 2
    assert "there is no number 3" in capsys.readouterr().err
