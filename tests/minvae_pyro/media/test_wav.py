"""WAV files of any size in their header, and any codec within."""

import struct

import av
import numpy as np
import pytest
import soundfile

from minvae_pyro.audio.files import read_sound
from minvae_pyro.media.wav import wav_bytes


def tone(rate, seconds=2.0):
    return 0.5 * np.sin(2 * np.pi * 440 * np.arange(round(rate * seconds)) / rate)


@pytest.mark.parametrize("riff", [0, 36, 0xFFFFFFFF])
@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0xFFFFFFFF - 36])
def test_a_header_that_was_never_finished(tmp_path, riff, size):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(16000), 16000)
    content = bytearray(path.read_bytes())
    place = content.index(b"data")
    content[4:8], content[place + 4 : place + 8] = struct.pack("<I", riff), struct.pack("<I", size)
    path.write_bytes(content)
    assert wav_bytes(path) is None
    sound = read_sound(path)
    np.testing.assert_allclose(sound.waveform[0], tone(16000), atol=1e-4)
    assert sound.notes == ()


@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64"])
def test_bytes_that_are_announced_and_there(tmp_path, kind):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(16000), 16000, "PCM_16", format=kind)
    assert wav_bytes(path) == (64000, 64000)
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"data") + 8 + 16000])
    assert wav_bytes(path) == (64000, 16000)
    assert read_sound(path).notes == ("the file ends early: 0.5 of its 2.0 s are there",)
    path.write_bytes(b"RIFX")
    assert wav_bytes(path) is None


@pytest.mark.parametrize(
    ("codec", "rate"), [("libmp3lame", 16000), ("libmp3lame", 44100), ("gsm", 8000), ("adpcm_ima_wav", 16000)]
)
def test_other_codecs_in_wav(tmp_path, codec, rate):
    path = tmp_path / "a.wav"
    if codec == "gsm":
        soundfile.write(path, tone(rate), rate, "GSM610")
    else:
        write(path, codec, rate)
    sound = read_sound(path)
    assert sound.sample_rate == rate
    assert sound.seconds == pytest.approx(2.0, abs=0.15)
    assert sound.waveform.abs().max() == pytest.approx(0.5, abs=0.1)
    assert sound.notes == ()


@pytest.mark.parametrize(("suffix", "codec", "delay"), [(".mp3", "libmp3lame", 1105), (".aac", "aac", 1024)])
def test_bare_streams_are_read_whole_and_timed_without_their_coders_delay(tmp_path, suffix, codec, delay):
    path = write(tmp_path / f"a{suffix}", codec, 16000, {"write_xing": "0"} if suffix == ".mp3" else {})
    sound = read_sound(path)
    assert sound.seconds == pytest.approx(2.0, abs=0.15)
    assert sound.seconds >= 2.0
    assert sound.notes == ()
    loud = np.flatnonzero(np.abs(sound.waveform[0].numpy()) > 0.1)[0] / 16000
    assert float(sound.clock.to_sound(np.array(0.0))) == pytest.approx(delay / 16000)
    assert loud == pytest.approx(delay / 16000, abs=0.02)


def write(path, codec, rate, options=None):
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        step = stream.codec_context.frame_size or 1024
        samples = (tone(rate) * 32767).round().astype(np.int16)
        resampler = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=rate)
        for start in range(0, len(samples), step):
            frame = av.AudioFrame.from_ndarray(samples[None, start : start + step], format="s16", layout="mono")
            frame.sample_rate, frame.pts = rate, start
            for piece in resampler.resample(frame):
                container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return path
