import os
import re
import struct
from fractions import Fraction

import av
import numpy as np
import pytest

from minvae_pyro.audio.tracks import read_track
from minvae_pyro.errors import UserError
from minvae_pyro.media.survey import survey

TRACKS = [(".mp4", "aac", 44100), (".mov", "aac", 48000), (".mkv", "flac", 16000), (".mpg", "mp2", 44100)]


def decode(path):
    track = read_track(path)
    return track.samples, track.rate


def clicks(rate, times, seconds=2.0):
    """Short bursts of a decaying 1 kHz tone that lossy codecs keep, at given times."""
    t = np.arange(round(seconds * rate)) / rate
    sound = np.zeros_like(t)
    for time in times:
        after = np.clip(t - time, 0, None)
        sound += 0.8 * (t >= time) * np.exp(-after * 200) * np.sin(2 * np.pi * 1000 * after)
    return sound


def delay(sound, reference, rate):
    """Seconds by which `sound` lags behind `reference`, by cross-correlation."""
    size = 2 * max(len(sound), len(reference))
    product = np.fft.rfft(sound, size) * np.fft.rfft(reference, size).conj()
    lag = int(np.fft.irfft(product, size).argmax())
    return (lag if lag < size // 2 else lag - size) / rate


@pytest.mark.parametrize(("suffix", "codec", "rate"), TRACKS)
def test_length_timing_and_level(tmp_path, make_video, suffix, codec, rate):
    sound = clicks(rate, [0.3, 1.1, 1.73])
    path = make_video(tmp_path / f"talk{suffix}", sound, rate, codec)
    samples, got_rate = decode(path)
    assert got_rate == rate
    assert samples.dtype == np.float32
    assert samples.shape[0] == 1
    assert samples.shape[1] == pytest.approx(len(sound), abs=0.06 * rate)  # codecs fill their last frame
    # MP2 delays by 481 samples in encoding, which MPEG's time stamps do not tell.
    assert delay(samples[0], sound, rate) == pytest.approx(0, abs=0.012)
    assert np.abs(samples).max() == pytest.approx(np.abs(sound).max(), rel=0.2)


def test_lossless_track_is_restored_exactly(tmp_path, make_video):
    sound = np.random.default_rng(0).uniform(-1, 1, 32000)
    samples, _ = decode(make_video(tmp_path / "talk.mkv", sound, 16000, "flac"))
    np.testing.assert_allclose(samples[0], np.round(sound * 32767) / 32768, atol=1e-7)


def test_sound_that_starts_after_the_video_is_padded(tmp_path, make_video):
    sound = clicks(16000, [0.3])
    path = make_video(tmp_path / "late.mkv", sound, 16000, "flac", seconds=2.5, sound_start=0.5)
    samples, rate = decode(path)
    assert delay(samples[0], sound, rate) == pytest.approx(0.5, abs=0.001)
    assert samples.shape[1] == pytest.approx(2.5 * rate, abs=16)


@pytest.mark.parametrize("ahead", [0.0, 0.4])
def test_zero_is_the_earliest_stream(tmp_path, make_video, ahead):
    """A file whose clock starts at 10 s, its sound `ahead` seconds before its video."""
    sound = clicks(16000, [0.3])
    path = make_video(tmp_path / "cut.mkv", sound, 16000, "flac", sound_start=10.0, video_start=10.0 + ahead)
    samples, rate = decode(path)
    assert delay(samples[0], sound, rate) == pytest.approx(0, abs=0.001)
    assert samples.shape[1] == pytest.approx(len(sound), abs=16)
    assert survey(path).shown[0] == pytest.approx(ahead, abs=0.001)


def test_a_gap_becomes_silence(tmp_path, make_video):
    rate = 16000
    sound = np.full(2 * rate, 0.5)
    path = make_video(tmp_path / "gap.mkv", sound, rate, "pcm_s16le", gap=(0.8, 1.3))
    samples, _ = decode(path)
    assert samples.shape[1] == pytest.approx(2 * rate, abs=16)
    silent = np.flatnonzero(samples[0] == 0)
    assert silent[0] / rate == pytest.approx(0.8, abs=0.002)
    assert silent[-1] / rate == pytest.approx(1.3, abs=0.002)
    assert len(silent) == silent[-1] - silent[0] + 1


@pytest.mark.parametrize(("announced", "early"), [(700.0, False), (2000.0, False), (9000.0, True)])
def test_what_is_there_decides_and_not_what_is_announced(tmp_path, make_video, announced, early):
    sound = np.full(32000, 0.5)
    path = make_video(tmp_path / "gap.mkv", sound, 16000, "pcm_s16le", gap=(0.8, 1.3))
    content = path.read_bytes()
    head, tail = content.split(b"\x44\x89\x88", maxsplit=1)  # Matroska's duration, 8 bytes of milliseconds
    path.write_bytes(head + b"\x44\x89\x88" + struct.pack(">d", announced) + tail[8:])
    track = read_track(path)
    assert track.samples.shape[1] == pytest.approx(2 * 16000, abs=16)
    assert track.notes == (("the file ends early: 2.0 of its 9.0 s are there",) if early else ())


def test_rounded_timestamps_make_no_gaps(tmp_path, make_video):
    """Matroska rounds to milliseconds: 800 samples at 44.1 kHz are 18.14 ms, so stamps jitter."""
    rate = 44100
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, rate)
    samples, _ = decode(make_video(tmp_path / "talk.mkv", sound, rate, "pcm_s16le", seconds=1.0))
    np.testing.assert_allclose(samples[0], np.round(sound * 32767) / 32768, atol=1e-7)


def test_no_sound_track(tmp_path, make_video):
    path = make_video(tmp_path / "mute.mp4", None, 16000, "aac")
    with pytest.raises(UserError, match=r"mute\.mp4 has no sound track"):
        read_track(path)


@pytest.mark.parametrize(("suffix", "codec", "rate"), [t for t in TRACKS if t[0] != ".mpg"])
@pytest.mark.parametrize("kept", [0.0, 0.05])
def test_truncated_is_one_clear_line(tmp_path, make_video, suffix, codec, rate, kept):
    path = make_video(tmp_path / f"talk{suffix}", clicks(rate, [0.3, 1.1]), rate, codec)
    os.truncate(path, int(kept * path.stat().st_size))
    with pytest.raises(UserError, match=f"^[^\n]*talk\\{suffix}[^\n]*$"):
        read_track(path)


def test_truncated_mpeg_is_read_as_far_as_it_goes(tmp_path, make_video):
    """An MPEG program stream announces no length, so nothing tells that its end is missing."""
    path = make_video(tmp_path / "talk.mpg", clicks(44100, [0.3, 1.1]), 44100, "mp2")
    whole, _ = decode(path)
    os.truncate(path, int(0.6 * path.stat().st_size))
    samples, _ = decode(path)
    assert samples.shape[1] == pytest.approx(0.6 * whole.shape[1], rel=0.2)
    np.testing.assert_allclose(samples, whole[:, : samples.shape[1]], atol=1e-6)


def test_a_cut_matroska_file_is_named_as_cut(tmp_path, make_video):
    path = make_video(tmp_path / "talk.mkv", np.random.default_rng(0).uniform(-1, 1, 32000), 16000, "flac")
    os.truncate(path, path.stat().st_size // 2)
    track = read_track(path)
    assert track.samples.shape[1] == pytest.approx(16000, rel=0.2)
    (note,) = track.notes
    assert re.fullmatch(r"the file ends early: (0\.9|1\.\d) of its 2\.0 s are there", note)


def damage(path, first, last, seed=0):
    content = bytearray(path.read_bytes())
    start, stop = int(first * len(content)), int(last * len(content))
    content[start:stop] = np.random.default_rng(seed).bytes(stop - start)
    path.write_bytes(content)


def test_widely_damaged_sound_is_read_as_far_as_it_goes(tmp_path, make_video):
    path = make_video(tmp_path / "talk.mkv", np.random.default_rng(0).uniform(-1, 1, 32000), 16000, "flac")
    damage(path, 0.2, 1.0)
    track = read_track(path)
    assert 0.2 < track.samples.shape[1] / 16000 < 0.8
    assert track.notes[0].startswith("the file ends early")


def test_sound_around_one_bad_packet_keeps_its_time(tmp_path, make_video):
    rate = 44100
    sound = clicks(rate, [0.2, 1.73])
    path = make_video(tmp_path / "talk.mp4", sound, rate, "aac")
    _spoil_packets(path, [40])
    samples, _ = decode(path)
    assert samples.shape[1] == pytest.approx(len(sound), abs=0.06 * rate)
    assert delay(samples[0], sound, rate) == pytest.approx(0, abs=0.001)
    _spoil_packets(path, range(10, 70))
    with pytest.raises(UserError, match=r"damaged: \d+ of \d+ packets"):
        read_track(path)


def _spoil_packets(path, numbers):
    """Overwrite some sound packets of a file with ones."""
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(audio=0) if p.size]
        places = [(packets[n].pos, packets[n].size) for n in numbers]
    content = bytearray(path.read_bytes())
    for start, size in places:
        content[start : start + size] = b"\xff" * size
    path.write_bytes(content)


def test_real_grid_clips(real_data):
    """Matroska with FLAC, and the original MPEG-1 with MP2 whose length is 114 frames of 1152 samples."""
    samples, rate = decode(real_data / "grid" / "s1" / "validation" / "bbaf2n.mkv")
    assert (rate, samples.shape) == (16000, (1, 47648))
    samples, rate = decode(real_data / "grid" / "s26" / "bgbsza.mpg")
    assert (rate, samples.shape) == (44100, (2, 114 * 1152))
    assert 0.05 < np.abs(samples).max() <= 1.0


def test_real_video_whose_sound_starts_late(real_data):
    path = real_data / "wild" / "tmsv_sp01_50fps_1080p.mp4"
    samples, rate = decode(path)
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        start = stream.start_time * Fraction(stream.time_base)
    assert rate == 48000
    late = round(start * rate)
    assert late == 816
    assert not samples[:, :late].any()
    assert samples[:, late:].any()
    assert samples.shape[1] == late + 144384
