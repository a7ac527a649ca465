import json
import math
from pathlib import Path

import cv2
import pytest
import torch

import minvae_pyro.training.run
from minvae_pyro import UserError, enhance, read_sound
from minvae_pyro.cli.demo import FILES, SPANS, Demonstration, demonstrate
from minvae_pyro.evaluation.scores import si_sdr

QUICK = ["--epochs", "8", "--data.batch_size", "2", "--data.train.init_args.utterances", "16"]
QUICK += ["--data.train.init_args.seconds", "1", "--data.validation.init_args.utterances", "2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "made" / "here"


@pytest.fixture(scope="module")
def shown(folder: Path) -> Demonstration:
    return demonstrate(folder, training=QUICK)


def test_it_leaves_its_files_and_no_others(shown: Demonstration, folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    clean, noisy, enhanced = (read_sound(folder / f"{name}.wav") for name in ("clean", "noisy", "enhanced"))
    assert clean.sample_rate == noisy.sample_rate == enhanced.sample_rate == 16000
    assert clean.waveform.shape == noisy.waveform.shape == enhanced.waveform.shape
    noise = noisy.waveform - clean.waveform
    assert float(10 * (clean.waveform.square().sum() / noise.square().sum()).log10()) == pytest.approx(0, abs=0.01)
    picture = cv2.imread(str(folder / "figure.png"))
    assert picture is not None
    assert picture.std() > 10


def test_the_scores_are_those_of_the_files(shown: Demonstration, folder: Path) -> None:
    table = json.loads((folder / "scores.json").read_text())
    assert set(table) == set(shown.scores) == {"noisy", "enhanced", "always the mouth", "always the sound"}
    clean = read_sound(folder / "clean.wav").mono()
    for name in ("noisy", "enhanced"):
        written = float(si_sdr(clean, read_sound(folder / f"{name}.wav").mono()))
        assert table[name]["si_sdr"] == pytest.approx(written, abs=0.01, nan_ok=True)
    for name, row in shown.scores.items():
        for metric, value in row.items():
            assert table[name][metric] == (value if math.isfinite(value) else None)


def test_the_weights_enhance_again(shown: Demonstration, folder: Path) -> None:
    noisy, enhanced = (read_sound(folder / f"{name}.wav") for name in ("noisy", "enhanced"))
    weights = folder / "weights.safetensors"
    track = shown.enhanced.mouth
    again = enhance(noisy.waveform, sample_rate=16000, video=track, checkpoint=weights)
    # up to the rounding of the recording and of the crops to files
    assert float(si_sdr(enhanced.mono(), again.speech[0])) > 20
    assert torch.isfinite(shown.enhanced.speech).all()


def test_its_video_is_covered_and_frozen_where_it_says(shown: Demonstration) -> None:
    mouth, responsibility = shown.enhanced.mouth, shown.enhanced.audio_responsibility
    assert mouth is not None
    assert responsibility is not None
    times = shown.enhanced.frame_times
    # pictures are blended to the frames beside them
    covered, frozen = ((times > start + 0.08) & (times < stop - 0.08) for start, stop in SPANS.values())
    edge = (times > SPANS["covered"][0] - 0.08) & (times < SPANS["covered"][1] + 0.08)
    assert not mouth.found[covered].any()
    assert mouth.found[~edge].all()
    assert torch.equal(mouth.crops[frozen], mouth.crops[frozen][:1].expand_as(mouth.crops[frozen]))
    assert (mouth.crops[~edge][1:] != mouth.crops[~edge][:-1]).any(-1).any(-1).double().mean() > 0.5
    assert responsibility[covered].min() > 0.999
    assert shown.responsibility["covered"] > 0.8
    assert shown.responsibility["right"] == pytest.approx(
        float(responsibility[~(((times >= 1.5) & (times < 2.5)) | ((times >= 4) & (times < 5)))].mean())
    )


def test_what_is_there_is_kept_and_told_before_training(
    folder: Path, shown: Demonstration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(minvae_pyro.training.run, "train", lambda arguments: pytest.fail("it trained"))
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    with pytest.raises(UserError, match=r"clean\.wav, noisy\.wav.*--overwrite"):
        demonstrate(folder)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_interrupted_it_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(arguments: list[str]) -> None:
        raise KeyboardInterrupt("the same command continues")

    monkeypatch.setattr(minvae_pyro.training.run, "train", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        demonstrate(tmp_path / "demo")
    # the run was temporary: the same command does not continue it
    assert str(caught.value) == ""
    assert list(tmp_path.iterdir()) == []
