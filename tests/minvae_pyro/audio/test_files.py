import os
import resource
import signal

import av
import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, strategies as st

from minvae_pyro.audio.files import Sound, read_sound, write_sound
from minvae_pyro.errors import UserError, WriteError


def tone(rate, seconds=1.0, frequency=440.0, channels=1):
    """Tones a fifth apart, one per channel, (samples, channels)."""
    t = np.arange(round(seconds * rate)) / rate
    return np.stack([0.5 * np.sin(2 * np.pi * frequency * 1.5**c * t) for c in range(channels)], axis=1)


# Reading


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("rate", [8000, 16000, 44100, 96000])
@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_lossless_files_are_read_as_they_are(tmp_path, suffix, rate, channels):
    samples = tone(rate, 0.1, channels=channels)
    path = tmp_path / f"a{suffix}"
    soundfile.write(path, samples, rate, "PCM_16")
    sound = read_sound(path)
    assert sound.sample_rate == rate
    assert sound.waveform.dtype == torch.float32
    np.testing.assert_allclose(sound.waveform.numpy(), samples.T, atol=2 / 32768)
    np.testing.assert_allclose(sound.mono().numpy(), samples.mean(axis=1), atol=2 / 32768)
    assert sound.seconds == pytest.approx(0.1)


@pytest.mark.parametrize("suffix", [".mp3", ".ogg"])
@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (44100, 2), (48000, 1)])
def test_lossy_files_keep_length_and_time(tmp_path, suffix, rate, channels):
    samples = tone(rate, 1.003, 1500.0, channels) * np.hanning(round(1.003 * rate))[:, None]
    path = tmp_path / f"a{suffix}"
    soundfile.write(path, samples, rate)
    sound = read_sound(str(path))
    assert sound.sample_rate == rate
    assert sound.waveform.shape == (channels, len(samples))
    # A lag of one sample would change these tones by a fifth at 44.1 kHz.
    error = sound.waveform.numpy().T - samples
    assert np.linalg.norm(error) < 0.1 * np.linalg.norm(samples)


def test_a_sound_file_under_another_name_is_recognised(tmp_path, make_video):
    path = tmp_path / "talk.recording"
    make_video(tmp_path / "talk.mp4", tone(44100)[:, 0], 44100, "aac").rename(path)
    assert read_sound(path).sample_rate == 44100
    soundfile.write(tmp_path / "song.mp4", tone(16000), 16000, format="WAV")
    assert read_sound(tmp_path / "song.mp4").waveform.shape == (1, 16000)


def test_video_gives_its_sound_track(tmp_path, make_video):
    samples = tone(16000, 2.0)[:, 0]
    sound = read_sound(make_video(tmp_path / "talk.mkv", samples, 16000, "flac"))
    np.testing.assert_allclose(sound.waveform[0].numpy(), samples, atol=1e-4)


def nothing(path):
    """Write no file at all."""


def not_a_number(path):
    samples = tone(16000).astype(np.float32)
    samples[5], samples[77] = np.nan, np.inf
    soundfile.write(path, samples, 16000, "FLOAT")


def no_samples(path):
    soundfile.write(path, np.zeros((0, 1)), 16000)


BAD_FILES = {
    "missing.wav": (nothing, "No such file"),
    "x" * 300: (nothing, "name too long"),
    "pipe.wav": (os.mkfifo, "is a device or pipe"),
    "folder.wav": (lambda path: path.mkdir(), "is a folder"),
    "empty.wav": (lambda path: path.touch(), "is empty"),
    "empty.mp4": (lambda path: path.touch(), "is empty"),
    "text.wav": (lambda path: path.write_text("no sound here " * 100), "cannot read"),
    "text.mp4": (lambda path: path.write_text("no sound here " * 100), "cannot read"),
    "noise.mp3": (lambda path: path.write_bytes(np.random.default_rng(0).bytes(5000)), "cannot read"),
    "nan.wav": (not_a_number, "2 samples that are NaN"),
    "nothing.wav": (no_samples, "holds no samples"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_file_is_one_clear_line(tmp_path, name):
    make, message = BAD_FILES[name]
    path = tmp_path / name
    make(path)
    with pytest.raises(UserError, match=message) as caught:
        read_sound(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unreadable_file_is_one_clear_line(tmp_path, monkeypatch):
    """Root may read anything, so the refusal of the operating system is acted."""

    def refuse(name, *args, **kwargs):
        raise av.error.PermissionError(13, "Permission denied", name)

    monkeypatch.setattr(av, "open", refuse)
    path = tmp_path / "secret.mp4"
    path.write_bytes(b"secret")
    with pytest.raises(UserError, match=r"secret\.mp4: Permission denied"):
        read_sound(path)


@pytest.mark.parametrize("suffix", [".flac", ".mp3"])
def test_a_file_of_which_next_to_nothing_is_left_is_refused(tmp_path, capfd, suffix):
    path = tmp_path / f"a{suffix}"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 48000), 16000)
    os.truncate(path, int(0.01 * path.stat().st_size))
    with pytest.raises(UserError, match=f"a{suffix}"):
        read_sound(path)
    assert capfd.readouterr().err == ""  # decoders written in C like to talk


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3"])
def test_half_a_file_is_read_and_said_to_end_early(tmp_path, capfd, suffix):
    path = tmp_path / f"a{suffix}"
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 160000)
    soundfile.write(path, noise, 16000)
    assert read_sound(path).notes == ()
    os.truncate(path, path.stat().st_size // 2)
    sound = read_sound(path)
    assert sound.seconds == pytest.approx(5.0, abs=0.4)
    (note,) = sound.notes
    assert note.startswith("the file ends early: ")
    assert note.endswith(" of its 10.0 s are there")
    assert float(note.split()[4]) == pytest.approx(sound.seconds, abs=0.3)
    if suffix != ".mp3":
        np.testing.assert_allclose(sound.waveform[0], noise[: sound.waveform.shape[1]], atol=2 / 32768)
    assert capfd.readouterr().err == ""


def test_an_ogg_file_keeps_its_time_around_what_is_damaged(tmp_path):
    path = tmp_path / "a.ogg"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 48000), 16000)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) * 11 // 20] = bytes(len(content) * 11 // 20 - len(content) // 2)
    path.write_bytes(content)
    assert read_sound(path).seconds == pytest.approx(3.0, abs=0.01)


def test_ten_milliseconds_are_a_sound(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(16000, 0.01), 16000)
    assert read_sound(tmp_path / "a.wav").waveform.shape == (1, 160)


def test_real_speech(real_data):
    sound = read_sound(real_data / "librispeech" / "103-1240-0000.flac")
    assert (sound.sample_rate, sound.waveform.shape) == (16000, (1, 112000))
    assert sound.seconds == 7.0


# Resampling


@pytest.mark.parametrize("old", [8000, 11025, 44100, 44101, 48000, 96000])
@pytest.mark.parametrize("new", [8000, 16000, 44100])
def test_resampling_keeps_time_and_level(old, new):
    """44101 Hz and 16000 Hz have no common divisor: a table of polyphase kernels would take gigabytes."""
    sound = Sound(torch.from_numpy(tone(old, 1.0, channels=2)).float().T, old)
    resampled = sound.resample(new)
    assert resampled.sample_rate == new
    assert resampled.waveform.shape == (2, new)
    assert resampled.waveform.dtype == torch.float32
    middle = slice(new // 5, -new // 5)
    expected = tone(new, 1.0, channels=2).T
    assert np.abs(resampled.waveform.numpy() - expected)[:, middle].max() < 1e-4


@given(samples=st.integers(1, 5000), old=st.integers(4000, 96000), new=st.integers(4000, 96000))
def test_resampled_length(samples, old, new):
    resampled = Sound(torch.zeros(1, samples), old).resample(new)
    assert resampled.waveform.shape[-1] == pytest.approx(samples * new / old, abs=1.01)


def test_what_lies_above_half_the_new_rate_is_removed():
    sound = Sound(torch.from_numpy(tone(48000, 1.0, frequency=9000.0)).float().T, 48000)
    assert sound.resample(16000).waveform.abs()[:, 3000:-3000].max() < 1e-4


def test_same_rate_is_the_same_sound():
    sound = Sound(torch.zeros(1, 5), 16000)
    assert sound.resample(16000) is sound


# Writing


@pytest.mark.parametrize("loudness", [1.0, 1e-4])
@pytest.mark.parametrize("suffix", [".wav", ".flac", ".WAV"])
def test_written_sound_is_read_back(tmp_path, suffix, loudness):
    path = tmp_path / f"out{suffix}"
    waveform = loudness * (torch.rand(2, 1000) * 2 - 1)
    write_sound(path, Sound(waveform, 22050))
    sound = read_sound(path)
    assert sound.sample_rate == 22050
    torch.testing.assert_close(sound.waveform, waveform, atol=2.5e-7, rtol=0)
    assert soundfile.info(path).subtype == "PCM_24"
    assert os.listdir(tmp_path) == [path.name]


def test_too_loud_is_scaled_and_never_clips(tmp_path):
    waveform = torch.tensor([[0.5, -4.0, 2.0]])
    write_sound(tmp_path / "out.wav", Sound(waveform, 16000))
    torch.testing.assert_close(read_sound(tmp_path / "out.wav").waveform, waveform / 4, atol=2.5e-7, rtol=0)


def test_full_scale_does_not_wrap_around(tmp_path):
    waveform = torch.tensor([[1.0, -1.0, 1.0]])
    write_sound(tmp_path / "out.flac", Sound(waveform, 16000))
    torch.testing.assert_close(read_sound(tmp_path / "out.flac").waveform, waveform, atol=2.5e-7, rtol=0)


def test_an_existing_file_is_kept_unless_asked(tmp_path):
    path = tmp_path / "out.wav"
    write_sound(path, Sound(torch.full((1, 10), 0.25), 16000))
    before = path.read_bytes()
    with pytest.raises(UserError, match="exists and is kept"):
        write_sound(path, Sound(torch.zeros(1, 10), 16000))
    assert path.read_bytes() == before
    write_sound(path, Sound(torch.zeros(1, 20), 16000), overwrite=True)
    assert read_sound(path).waveform.shape == (1, 20)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("out.mp3", r"must end in \.wav or \.flac"),
        ("out", "must end in"),
        ("nowhere/out.wav", "cannot write .*out.wav"),
        ("file/out.wav", "cannot write .*out.wav"),
        ("folder.wav", "is a folder"),
    ],
)
def test_bad_destination_is_one_clear_line(tmp_path, name, message):
    (tmp_path / "file").touch()
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(UserError, match=message):
        write_sound(tmp_path / name, Sound(torch.zeros(1, 10), 16000), overwrite=True)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder.wav"]


@pytest.mark.parametrize("step", ["soundfile.write", "os.replace"])
def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch, step):
    path = tmp_path / "out.wav"
    write_sound(path, Sound(torch.full((1, 10), 0.25), 16000))
    before = path.read_bytes()

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(step, interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_sound(path, Sound(torch.zeros(1, 10), 16000), overwrite=True)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["out.wav"]


def test_a_rate_that_the_format_cannot_hold_is_one_clear_line(tmp_path):
    with pytest.raises(UserError, match=r"cannot write .*out\.flac at 10000000 Hz"):
        write_sound(tmp_path / "out.flac", Sound(torch.zeros(1, 10), 10_000_000))
    assert os.listdir(tmp_path) == []


def test_samples_that_are_no_numbers_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="NaN"):
        write_sound(tmp_path / "out.wav", Sound(torch.tensor([[0.0, float("nan")]]), 16000))
    assert os.listdir(tmp_path) == []


def test_an_empty_sound_is_written(tmp_path):
    write_sound(tmp_path / "out.wav", Sound(torch.zeros(1, 0), 16000))
    assert soundfile.info(tmp_path / "out.wav").frames == 0


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_a_disk_that_takes_no_more_is_said_and_leaves_nothing(tmp_path, suffix):
    """The system refuses what lies beyond a limit, in the middle of the samples."""
    path = tmp_path / f"long{suffix}"
    write_sound(path, Sound(torch.zeros(1, 4), 16000))
    before = path.read_bytes()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limit[1]))
        with pytest.raises(WriteError, match=rf"cannot write .*long\{suffix} \(File too large\)"):
            write_sound(path, Sound(torch.rand(1, 200_000) - 0.5, 16000), overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
