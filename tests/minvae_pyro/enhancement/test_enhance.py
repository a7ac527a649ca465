import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from torch import Tensor

from minvae_pyro import UserError, enhance, load_checkpoint
from minvae_pyro.inference import InferenceEngine, StochasticVariational, VariationalEM
from minvae_pyro.synthetic.talker import SyntheticUtterance
from minvae_pyro.video.track import MouthTrack


def tone(rate: int, samples: int, hertz: float = 1000.0) -> Tensor:
    return 0.5 * torch.sin(2 * torch.pi * hertz * torch.arange(samples, dtype=torch.float64) / rate).float()


def film(utterance: SyntheticUtterance, found: Tensor | None = None) -> MouthTrack:
    return MouthTrack(
        utterance.crops, utterance.times, torch.ones(len(utterance.times)).bool() if found is None else found
    )


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100, 48000, 96000])
@pytest.mark.parametrize("channels", [1, 3])
def test_speech_has_the_length_rate_level_and_channels_of_the_recording(
    known_inference: Any, tiny_checkpoint: Path, rate: int, channels: int
) -> None:
    samples = rate // 2 + 7
    sound = torch.stack([tone(rate, samples) * (channel + 1) / channels for channel in range(channels)])
    result = enhance(sound, sample_rate=rate, checkpoint=tiny_checkpoint)
    assert result.speech.shape == sound.shape
    assert result.sample_rate == rate
    assert result.seconds == samples / rate
    # nothing to remove, so it comes back, but for the ringing of the resampler at its ends
    middle = slice(rate // 50, -rate // 50)
    torch.testing.assert_close(result.speech[:, middle], sound[:, middle], rtol=0, atol=2e-3)
    torch.testing.assert_close(result.speech + result.noise, sound)


@pytest.mark.parametrize("rate", [8000, 16000, 96000])
@pytest.mark.parametrize("seconds", [1e-5, 0.01])
def test_ten_milliseconds_and_one_sample_are_enough(tiny_checkpoint: Path, rate: int, seconds: float) -> None:
    sound = tone(rate, max(1, round(seconds * rate))) + 0.01
    result = enhance(sound, sample_rate=rate, checkpoint=tiny_checkpoint)
    assert result.speech.shape == (1, len(sound))
    assert torch.isfinite(result.speech).all()
    # of one sample at 96 kHz there is nothing left at 16 kHz
    assert bool(result.objective) == (rate < 96000 or seconds > 1e-5)
    if result.audio_responsibility is not None:
        assert result.audio_responsibility.shape == result.frame_times.shape


def test_nothing_is_kept_where_the_model_hears_nothing(known_inference: Any, tiny_checkpoint: Path) -> None:
    low, high = tone(48000, 24000, 1000), tone(48000, 24000, 12000)
    result = enhance(low + high, sample_rate=48000, checkpoint=tiny_checkpoint)
    middle = slice(2000, -2000)
    torch.testing.assert_close(result.speech[0, middle], low[middle], rtol=0, atol=2e-3)
    torch.testing.assert_close(result.noise[0, middle], high[middle], rtol=0, atol=2e-3)
    assert "nothing above 8 kHz is kept: the model hears no higher" in result.notes


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_silence_is_returned_as_it_is(tiny_checkpoint: Path, rate: int) -> None:
    result = enhance(torch.zeros(2, rate // 10), sample_rate=rate, checkpoint=tiny_checkpoint)
    assert result.speech.shape == (2, rate // 10)
    assert not result.speech.any()
    assert result.audio_responsibility is None
    assert result.objective == []
    assert "the recording is silent and is returned as it is" in result.notes


def test_frames_without_a_mouth_are_noted(
    known_inference: Any, tiny_checkpoint: Path, utterance: SyntheticUtterance
) -> None:
    known_inference.gains = [0.5]

    def notes(found: Tensor) -> tuple[float, list[str]]:
        result = enhance(
            utterance.waveform, sample_rate=16000, video=film(utterance, found), checkpoint=tiny_checkpoint
        )
        return result.faces_found, result.notes

    frames = len(utterance.times)
    assert notes(torch.ones(frames).bool()) == (1.0, [])
    assert notes(torch.zeros(frames).bool()) == (
        0.0,
        ["no face was found: enhanced from the sound alone"],
    )
    share, (note,) = notes(torch.arange(frames) < frames // 2)
    assert 0.4 < share < 0.6
    assert note == f"a mouth was seen in {math.floor(100 * share)}% of the frames: the others are enhanced by ear"


@pytest.mark.parametrize(
    ("gain", "below"), [(1.0, "more than 60"), (0.95, "26"), (0.92, "21"), (0.9, None), (0.2, None)]
)
def test_that_there_is_little_noise_is_noted(
    gain: float, below: str | None, known_inference: Any, tiny_checkpoint: Path
) -> None:
    known_inference.gains = [gain]
    notes = enhance(tone(16000, 8000), sample_rate=16000, checkpoint=tiny_checkpoint).notes
    found = [note for note in notes if "noise" in note]
    assert found == ([] if below is None else [f"little noise was found: it lies {below} dB below the speech"])


def test_progress_names_what_is_done(known_inference: Any, tiny_checkpoint: Path) -> None:
    reports: list[tuple[str, int, int]] = []
    enhance(tone(16000, 8000), sample_rate=16000, checkpoint=tiny_checkpoint, progress=lambda *a: reports.append(a))
    assert reports == [("looking for the mouth", 0, 0), ("enhancing", 1, 2), ("enhancing", 2, 2)]


def test_a_device_that_is_not_there(tiny_checkpoint: Path) -> None:
    with pytest.raises(UserError, match=r"cannot compute on cuda:77 .*choose cpu"):
        enhance(tone(16000, 160), sample_rate=16000, checkpoint=tiny_checkpoint, device="cuda:77")


@pytest.mark.parametrize("engine", [StochasticVariational(iterations=8), VariationalEM(iterations=8)])
def test_the_mouth_makes_a_difference_and_the_seed_decides(
    tiny_checkpoint: Path, utterance: SyntheticUtterance, engine: InferenceEngine
) -> None:
    noise = 0.03 * torch.randn(len(utterance.waveform), generator=torch.Generator().manual_seed(0))
    loaded = load_checkpoint(tiny_checkpoint)

    def run(video: MouthTrack | None, seed: int = 0) -> Any:
        return enhance(
            utterance.waveform + noise,
            sample_rate=16000,
            video=video,
            checkpoint=loaded,
            engine=engine,
            seed=seed,
        )

    filmed, again, other, sound_only = run(film(utterance)), run(film(utterance)), run(film(utterance), 1), run(None)
    assert torch.equal(filmed.speech, again.speech)
    assert not torch.equal(filmed.speech, other.speech)
    assert not torch.equal(filmed.speech, sound_only.speech)
    assert filmed.faces_found == 1
    assert sound_only.faces_found == 0
    assert sound_only.mouth is None
    # without a mouth only the sound can explain a frame
    assert float(sound_only.audio_responsibility.min()) > 0.99
    assert filmed.objective[-1] > filmed.objective[0]
    # a Wiener filter takes away and adds nothing
    assert float(filmed.speech.square().mean()) < float((utterance.waveform + noise).square().mean())
    assert (filmed.engine, filmed.checkpoint) == (type(engine).__name__, "")
    assert filmed.real_time_factor == filmed.elapsed / filmed.seconds


def test_enhancing_loads_nothing_that_only_training_and_evaluation_need() -> None:
    heavy = ("lightning", "matplotlib", "pandas", "joblib", "pyarrow", "torchmetrics", "av", "cv2", "h5py", "scipy")
    program = (
        "import sys, torch; from minvae_pyro import enhance\n"
        "result = enhance(torch.randn(1600), sample_rate=16000, checkpoint='a-vae')\n"
        f"assert len(result.objective) > 1\nprint([name for name in {heavy} if name in sys.modules])"
    )
    written = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert written.stdout.strip() == "[]"


SHORT = {"class_path": "svi", "init_args": {"iterations": 3, "steps": 1}}


def test_draws_are_speech_around_the_estimate(tiny_checkpoint: Path, utterance: SyntheticUtterance) -> None:
    noisy = 0.3 * (utterance.waveform + 0.05 * torch.randn(utterance.waveform.shape))
    sound = torch.stack([noisy, 0.5 * noisy])
    given: Any = {"sample_rate": 16000, "checkpoint": tiny_checkpoint, "engine": SHORT}
    plain, drawn = enhance(sound, **given), enhance(sound, draws=12, **given)
    assert plain.draws is None
    torch.testing.assert_close(drawn.speech, plain.speech)  # the estimate is the same
    assert drawn.draws is not None
    assert drawn.draws.shape == (12, *sound.shape)
    # their mean goes to the estimate, and each deviates from it
    deviation = (drawn.draws - drawn.speech).square().mean((1, 2)).sqrt()
    assert float(deviation.min()) > 0
    mean = (drawn.draws.mean(0) - drawn.speech).square().mean().sqrt()
    assert float(mean) < 0.6 * float(deviation.mean())
    # what is added to a channel is as loud as it is
    torch.testing.assert_close(drawn.draws[:, 1], 0.5 * drawn.draws[:, 0], rtol=0, atol=1e-5)
    lower, upper = drawn.interval(0.8)
    inside = (drawn.draws >= lower) & (drawn.draws <= upper)
    # the ends lie between draws, but for a few that are equal
    assert float(inside.float().mean()) == pytest.approx(8 / 12, abs=1e-4)
    assert torch.equal(enhance(sound, draws=2, **given).draws[1], drawn.draws[1])  # type: ignore[index]


def test_draws_that_cannot_be_had(tiny_checkpoint: Path) -> None:
    silent = enhance(torch.zeros(800), sample_rate=16000, checkpoint=tiny_checkpoint, draws=3)
    assert silent.draws is None
    with pytest.raises(UserError, match="an interval needs draws"):
        silent.interval()
    with pytest.raises(UserError, match="there cannot be -1 draws"):
        enhance(torch.zeros(800), sample_rate=16000, checkpoint=tiny_checkpoint, draws=-1)


def test_a_picture_that_cannot_be_used_leaves_the_sound(tiny_checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "wide.mkv"
    sound = (10000 * torch.randn(1, 8000)).clamp(-30000, 30000).to(torch.int16).numpy()
    with av.open(str(path), "w") as container:
        film, track = container.add_stream("mjpeg", rate=25), container.add_stream("flac", rate=16000, layout="mono")
        film.width, film.height, film.pix_fmt = 16384, 16, "yuvj420p"
        for number in range(3):
            picture = av.VideoFrame.from_ndarray(np.full((16, 16384), 80 + number, np.uint8), format="gray")
            container.mux(film.encode(picture))
        frame = av.AudioFrame.from_ndarray(sound, format="s16", layout="mono")
        frame.sample_rate, frame.pts = 16000, 0
        container.mux(track.encode(frame))
        for stream in (film, track):
            container.mux(stream.encode(None))
    given: Any = {"checkpoint": tiny_checkpoint, "engine": SHORT}
    found = enhance(path, **given)
    assert "no face was found: enhanced from the sound alone" in found.notes
    alone = enhance(torch.from_numpy(sound) / 32768, sample_rate=16000, **given)
    torch.testing.assert_close(found.speech, alone.speech)
