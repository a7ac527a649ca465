from collections.abc import Callable
from pathlib import Path

import pyro
import pytest
import torch
from pyro.infer import SVI
from pyro.optim import Adam

import minvae_pyro
from minvae_pyro import Sound, UserError, Utterances, load_checkpoint, write_sound
from minvae_pyro.inference import StochasticVariational, infer, update_noise
from minvae_pyro.inference.imputation import imputed
from minvae_pyro.probability.elbo import AnalyticTraceEnum_ELBO
from minvae_pyro.synthetic.talker import speak

RATE = 22050


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, handmade: Callable[..., Path]) -> minvae_pyro.Checkpoint:
    return load_checkpoint(handmade(tmp_path_factory.mktemp("model") / "m.safetensors", mixture=True))


@pytest.fixture
def noisy() -> torch.Tensor:
    """Two channels of different level at another rate than the model's."""
    speech = Sound(speak(1.0, 3)[None], 16000).resample(RATE).waveform
    return torch.cat([0.2 * speech, 0.05 * speech]) + 0.01 * torch.randn(2, speech.shape[-1])


def mouth() -> torch.Tensor:
    return torch.rand(25, 67, 67)


def test_a_recording_is_what_enhancement_gives_to_the_model(
    noisy: torch.Tensor, checkpoint: minvae_pyro.Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def spy(_checkpoint: object, utterances: minvae_pyro.Utterances, **_rest: object) -> object:
        seen.append(utterances)
        return infer(checkpoint, utterances, engine={"class_path": "svi", "init_args": {"iterations": 1, "steps": 1}})

    monkeypatch.setattr("minvae_pyro.enhancement.filter.infer", spy)
    crops = mouth()
    given = {"sample_rate": RATE, "video": crops, "video_frame_rate": 25.0}
    minvae_pyro.enhance(noisy, checkpoint=checkpoint, **given)  # type: ignore[arg-type]
    made = Utterances.from_recording(noisy, checkpoint, **given)  # type: ignore[arg-type]
    for name, value in seen[0].tensors().items():
        assert torch.equal(getattr(made, name), value), name
    assert made.mouth_seen.all()


def test_samples_arrays_and_files_are_the_same_recording(
    noisy: torch.Tensor, checkpoint: minvae_pyro.Checkpoint, tmp_path: Path
) -> None:
    write_sound(tmp_path / "noisy.wav", Sound(noisy, RATE))
    read = minvae_pyro.read_sound(tmp_path / "noisy.wav").waveform
    recordings = [
        Utterances.from_recording(tmp_path / "noisy.wav", checkpoint),
        Utterances.from_recording(read, checkpoint, sample_rate=RATE),
        Utterances.from_recording(read.numpy(), checkpoint, sample_rate=RATE),
    ]
    for one in recordings[1:]:
        assert torch.equal(one.spectrum, recordings[0].spectrum)
    assert not recordings[0].mouth_seen.any()


def test_a_gain_of_one_gives_the_recording_back(noisy: torch.Tensor, checkpoint: minvae_pyro.Checkpoint) -> None:
    sound = Sound(noisy, RATE).resample(16000).resample(RATE).waveform[:, : noisy.shape[-1]]  # nothing above 8 kHz
    utterances = Utterances.from_recording(noisy, checkpoint, sample_rate=RATE)
    for gain in (torch.ones(utterances.spectrum.shape), torch.ones(utterances.spectrum.shape[1:])):
        found = utterances.speech(gain)
        assert found.shape == noisy.shape
        inside = slice(600, -600)
        torch.testing.assert_close(found[:, inside], sound[:, inside], rtol=0, atol=2e-4)
    torch.testing.assert_close(utterances.speech(0.5 * gain), 0.5 * found)


def test_the_ten_lines_do_what_the_engine_does(noisy: torch.Tensor, checkpoint: minvae_pyro.Checkpoint) -> None:
    """The same steps by hand and by the engine, number by number."""
    utterances = Utterances.from_recording(noisy, checkpoint, sample_rate=RATE, video=mouth(), video_frame_rate=25.0)
    engine = StochasticVariational(iterations=3, steps=2)
    mixture, guide = utterances.start(seed=4)
    torch.manual_seed(11)
    expected = engine(mixture, guide, utterances)
    expected_gain = utterances.gain(mixture, guide)
    weights = {name: value.clone() for name, value in checkpoint.prior.state_dict().items()}
    for local in (False, True):
        pyro.clear_param_store()
        with pyro.settings.context(module_local_params=local):
            mixture, guide = utterances.start(seed=4)
            torch.manual_seed(11)
            svi = SVI(mixture, guide, Adam({"lr": 0.05}), AnalyticTraceEnum_ELBO(max_plate_nesting=2))
            losses = []
            for step in range(6):
                losses.append(svi.step(utterances))
                if step % 2:
                    guide.update_alpha(mixture, utterances)
                    update_noise(mixture, guide, utterances)
            gain = utterances.gain(mixture, guide)
        objective = [-loss / utterances.frames for loss in losses[1::2]]
        assert objective == pytest.approx(expected, rel=1e-5)
        torch.testing.assert_close(gain, expected_gain, rtol=0, atol=1e-3)
        assert utterances.speech(gain).shape == noisy.shape
    # no optimiser has moved the prior
    assert all(torch.equal(value, weights[name]) for name, value in checkpoint.prior.state_dict().items())


def test_the_start_is_that_of_the_settings(noisy: torch.Tensor, checkpoint: minvae_pyro.Checkpoint) -> None:
    utterances = Utterances.from_recording(noisy, checkpoint, sample_rate=RATE)
    mixture, guide = utterances.start(noise="StationaryNoise", start="prior", guide="PointGuide")
    assert type(mixture.noise).__name__ == "StationaryNoise"
    assert type(guide).__name__ == "PointGuide"
    assert float(guide.mean.detach().abs().max()) == 0.0
    audio = utterances.start(start="audio")[1]
    heard = imputed(checkpoint.prior, checkpoint.guide, utterances)  # the encoder reads no empty cells
    torch.testing.assert_close(audio.mean.detach(), checkpoint.guide.encode_audio(heard)[0].detach())
    assert type(utterances.start(guide="AutoNormal")[1]).__name__ == "PyroGuide"


def test_it_is_a_batch_like_any(noisy: torch.Tensor, checkpoint: minvae_pyro.Checkpoint) -> None:
    utterances = Utterances.from_recording(noisy, checkpoint, sample_rate=RATE)
    assert utterances.to(torch.float64).speech(torch.ones(utterances.spectrum.shape)).shape == noisy.shape
    assert "origin" not in utterances.tensors()
    assert len(utterances.one_by_one()) == 1
    assert Utterances.from_spectrum(torch.ones(7, 513)).origin is None


def test_what_cannot_be_used_is_refused(noisy: torch.Tensor, checkpoint: minvae_pyro.Checkpoint) -> None:
    with pytest.raises(UserError, match="the recording is silent"):
        Utterances.from_recording(torch.zeros(16000), checkpoint, sample_rate=16000)
    with pytest.raises(UserError, match="give sample_rate"):
        Utterances.from_recording(noisy, checkpoint)
    utterances = Utterances.from_recording(noisy, checkpoint, sample_rate=RATE)
    with pytest.raises(UserError, match="frames by frequencies, not \\(7, 513\\)"):
        utterances.speech(torch.ones(7, 513))
    for call in (lambda u: u.start(), lambda u: u.speech(torch.ones(7, 513)), lambda u: u.gain(None, None)):
        with pytest.raises(UserError, match="from no recording"):
            call(Utterances.from_spectrum(torch.ones(7, 513)))
