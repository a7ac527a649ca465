import errno
import json
import shutil

import numpy as np
import pytest
import soundfile
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from minvae_pyro.audio.stft import STFT
from minvae_pyro.corpora.manifest import read_manifest, read_stft
from minvae_pyro.corpora.prepare import prepare, unit_power
from minvae_pyro.errors import UserError, WriteError

RATE = 16000


@pytest.fixture
def recordings(tmp_path):
    """Three noises of different length and level, one of them at 8 kHz and in stereo."""
    folder = tmp_path / "recordings"
    (folder / "deep").mkdir(parents=True)
    rng = np.random.default_rng(0)
    soundfile.write(folder / "a.wav", 0.01 * rng.standard_normal(RATE), RATE)
    soundfile.write(folder / "b.flac", 0.2 * rng.standard_normal(RATE // 2).clip(-4, 4), RATE)
    soundfile.write(folder / "deep" / "c.wav", 0.1 * rng.standard_normal((4000, 2)), 8000)
    return folder


def content(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_features_are_the_power_of_the_clip_at_unit_level(recordings, tmp_path):
    stft = STFT(hop=256)
    result = prepare("folder", recordings, tmp_path / "out", stft)
    assert [e.id for e in result.entries] == ["a", "b", "deep_c"]
    assert result.failed == []
    entry = result.entries[0]
    samples, _ = soundfile.read(recordings / "a.wav", dtype="float64")
    spectrum = stft(torch.from_numpy(samples / np.sqrt(np.mean(samples**2))))
    features = load_file(tmp_path / "out" / entry.file)
    assert set(features) == {"power", "band"}
    assert features["band"].all()
    torch.testing.assert_close(features["power"].double(), spectrum.abs().square(), rtol=1e-4, atol=1e-6)
    assert (entry.frames, entry.seconds, entry.has_mouth) == (stft.frames(RATE), 1.0, False)


def test_another_rate_and_stereo_become_16_khz_mono(recordings, tmp_path):
    result = prepare("folder", recordings, tmp_path / "out", STFT())
    entry = result.entries[2]
    assert entry.seconds == pytest.approx(0.5, abs=1e-3)
    power = load_file(tmp_path / "out" / entry.file)["power"]
    assert len(power) == STFT().frames(RATE // 2)
    # what was recorded at 8 kHz holds nothing above 4 kHz
    assert power[:, 300:].mean() < 1e-4 * power[:, :200].mean()
    assert load_file(tmp_path / "out" / entry.file)["band"].nonzero().max() in range(200, 257)


def test_level_does_not_matter():
    waveform = torch.randn(8000)
    torch.testing.assert_close(unit_power(waveform, STFT()), unit_power(1e-3 * waveform, STFT()), rtol=1e-4, atol=1e-6)
    assert unit_power(torch.zeros(8000), STFT()) is None


def test_manifest_and_settings_come_back(recordings, tmp_path):
    result = prepare("folder", recordings, tmp_path / "out", STFT(hop=300))
    assert read_manifest(tmp_path / "out") == result.entries
    assert read_stft(tmp_path / "out").hop == 300


def test_number_of_workers_changes_nothing(recordings, tmp_path):
    prepare("folder", recordings, tmp_path / "one", STFT())
    prepare("folder", recordings, tmp_path / "two", STFT(), workers=2)
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_a_second_run_keeps_what_is_finished(recordings, tmp_path):
    out = tmp_path / "out"
    prepare("folder", recordings, out, STFT())
    before = content(out)
    kept = out / "features" / "a.safetensors"
    stamp = kept.stat().st_mtime_ns
    # as after a kill: one file is missing, one was cut short, and the manifest was never written
    (out / "features" / "b.safetensors").unlink()
    broken = out / "features" / "deep_c.safetensors"
    broken.write_bytes(broken.read_bytes()[:50])
    (out / "manifest.csv").unlink()
    result = prepare("folder", recordings, out, STFT())
    assert result.kept == 1
    assert kept.stat().st_mtime_ns == stamp
    assert content(out) == before


def test_features_whose_frames_were_counted_otherwise_are_made_again(recordings, tmp_path):
    out = tmp_path / "out"
    prepare("folder", recordings, out, STFT())
    before = content(out)
    old = out / "features" / "a.safetensors"
    with safe_open(old, framework="pt") as file:
        entry = json.loads(file.metadata()["entry"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    entry["frames"] -= 1
    save_file({**tensors, "power": tensors["power"][1:].clone()}, old, {"entry": json.dumps(entry)})
    assert prepare("folder", recordings, out, STFT()).kept == 2
    assert content(out) == before


def test_a_bad_clip_is_reported_and_does_not_stop_the_rest(recordings, tmp_path):
    (recordings / "broken.wav").write_bytes(b"RIFF but no sound")
    soundfile.write(recordings / "silent.wav", np.zeros(RATE), RATE)
    done = []
    result = prepare("folder", recordings, tmp_path / "out", STFT(), progress=lambda n, total: done.append((n, total)))
    assert len(result.entries) == 3
    assert [name for name, _ in result.failed] == ["broken", "silent"]
    assert "silent" in result.failed[1][1]
    assert done[-1] == (5, 5)
    assert len(read_manifest(tmp_path / "out")) == 3


def test_nothing_usable_is_an_error(tmp_path):
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "broken.wav").write_bytes(b"nothing")
    with pytest.raises(UserError, match="none of the 1 clips"):
        prepare("folder", folder, tmp_path / "out", STFT())
    assert not (tmp_path / "out" / "manifest.csv").exists()


def test_a_folder_prepared_otherwise_is_left_alone(recordings, tmp_path):
    out = tmp_path / "out"
    prepare("folder", recordings, out, STFT(hop=533))
    before = content(out)
    with pytest.raises(UserError, match=r"another stft .*533"):
        prepare("folder", recordings, out, STFT(hop=256))
    with pytest.raises(UserError, match="another source"):
        prepare("folder", recordings / "deep", out, STFT(hop=533))
    assert content(out) == before


def test_a_folder_with_other_things_is_left_alone(recordings, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("precious")
    with pytest.raises(UserError, match="not empty"):
        prepare("folder", recordings, out, STFT())
    assert [p.name for p in out.iterdir()] == ["thesis.txt"]


def test_a_format_of_another_version_is_refused(recordings, tmp_path):
    out = tmp_path / "out"
    prepare("folder", recordings, out, STFT())
    settings = json.loads((out / "settings.json").read_text())
    (out / "settings.json").write_text(json.dumps({**settings, "format": 99}))
    with pytest.raises(UserError, match="format 99"):
        read_stft(out)


def test_real_face(real_data, tmp_path):
    clip = real_data / "grid" / "others" / "lbax4n.mpg"
    source = tmp_path / "s9"
    source.mkdir()
    (source / clip.name).symlink_to(clip)
    result = prepare("grid", source, tmp_path / "out", STFT())
    (entry,) = result.entries
    features = load_file(tmp_path / "out" / entry.file)
    assert entry.has_mouth
    assert entry.faces_found > 0.95
    assert entry.speaker == "s9"
    assert features["mouth"].shape == (entry.frames, 67, 67)
    assert features["mouth"].dtype == torch.uint8
    # lips move while somebody speaks
    assert features["mouth"].float().diff(dim=0).abs().mean() > 0.5


def test_real_lip_files(real_data, tmp_path):
    result = prepare("ntcd-timit", real_data / "tcd_timit", tmp_path / "out", STFT())
    assert [(e.id, e.speaker) for e in result.entries] == [
        ("01M_sa1", "01M"),
        ("01M_si462", "01M"),
        ("08F_sa1", "08F"),
        ("08F_si519", "08F"),
    ]
    assert all(e.has_mouth and e.faces_found > 0.9 for e in result.entries)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_write_that_fails_ends_the_run_which_goes_on_later(workers, recordings, tmp_path):
    whole = prepare("folder", recordings, tmp_path / "out", STFT())
    (tmp_path / "out" / "manifest.csv").unlink()
    features = tmp_path / "out" / "features"
    kept = {file.name: file.read_bytes() for file in features.iterdir()}
    shutil.rmtree(features)
    # nobody, the administrator included, writes into a folder that is a file
    features.write_text("")
    with pytest.raises(WriteError, match="cannot write"):
        prepare("folder", recordings, tmp_path / "out", STFT(), workers=workers)
    assert not (tmp_path / "out" / "manifest.csv").exists()
    features.unlink()
    features.mkdir()
    (features / "a.safetensors").write_bytes(kept["a.safetensors"])
    again = prepare("folder", recordings, tmp_path / "out", STFT(), workers=workers)
    assert (again.entries, again.kept) == (whole.entries, 1)


def test_a_decoder_that_fails_because_a_disk_is_full_ends_the_run(recordings, tmp_path, monkeypatch):
    def full(path, track):
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError:
            raise RuntimeError("a temporary file") from None

    monkeypatch.setattr("minvae_pyro.corpora.prepare.read_sound", full)
    with pytest.raises(WriteError, match="No space left on device"):
        prepare("folder", recordings, tmp_path / "out", STFT())
