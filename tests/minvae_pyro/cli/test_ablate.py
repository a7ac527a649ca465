"""A small ablation from YAML to page, with one level that is trained."""

import pandas as pd
import pytest
import torch
import yaml

from minvae_pyro.audio.files import Sound, write_sound
from minvae_pyro.cli.main import main
from minvae_pyro.synthetic.talker import speak


@pytest.fixture
def mixtures(tmp_path):
    """A table of two noisy seconds of the synthetic talker."""
    lines = ["id,clip,noise,noise_offset_samples,snr_db"]
    for number in (0, 1):
        clip, noise = tmp_path / "talker" / f"{number}.wav", tmp_path / f"noise{number}.wav"
        clip.parent.mkdir(exist_ok=True)
        write_sound(clip, Sound(speak(1.0, number)[None], 16000))
        write_sound(noise, Sound(0.1 * speak(1.0, 9 + number)[None], 16000))
        lines.append(f"{number},talker/{clip.name},{noise.name},0,{5 * number}")
    path = tmp_path / "mixtures.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def ablation(tmp_path, tiny_checkpoint):
    """Two starts, and weights that lie there or are trained for one short epoch, the latter twice."""
    small = {
        "epochs": 1,
        "data.batch_size": 2,
        "data.train.init_args.utterances": 2,
        "data.train.init_args.seconds": 1,
        "data.validation.init_args.utterances": 1,
        "seed": "{training}",
    }
    described = {
        "title": "Starts and weights",
        "base": {"checkpoint": str(tiny_checkpoint), "engine": {"class_path": "fast", "init_args": {"iterations": 2}}},
        "factors": {
            "weights": {"kept": {}, "trained": {"train": {"config": "demo", "options": small}}},
            "start": {"audio": {"start": "audio"}, "prior": {"start": "prior"}},
        },
        "replicates": {"training": {"0": 0, "1": 1}},
        "claims": [{"text": "The start matters", "first": {"start": "audio"}, "than": {"start": "prior"}}],
    }
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(described, sort_keys=False))
    return path


def test_an_ablation_is_measured_and_told_and_trains_once(ablation, mixtures, tmp_path, capsys):
    output = tmp_path / "results"
    command = ["ablate", str(ablation), "--mixtures", str(mixtures), "--output", str(output)]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "training 1 of 2: demo" in shown
    page = (output / "ablation.md").read_text()
    assert page in shown
    assert f"minvae {' '.join(command)}" in page
    assert "3 combinations on 2 mixtures, each the mean over training" in page
    assert "| The start matters | **" in page

    table = pd.read_parquet(output / "scores.parquet")
    ours = table[table["system"] != "input"]
    # the replicate changes nothing where nothing is trained
    assert ours.groupby(["factor:weights", "factor:start"])["factor:training"].agg(set).to_dict() == {
        ("kept", "audio"): {"0"},
        ("kept", "prior"): {"0"},
        ("trained", "audio"): {"0", "1"},
    }
    assert ours["si_sdr"].notna().all()
    effects = pd.read_csv(output / "effects.csv").set_index(["factor", "level", "metric"])
    means = ours.groupby(["factor:weights", "factor:start"])["si_sdr_gain"].mean()
    difference = means["trained", "audio"] - means["kept", "audio"]
    assert effects.loc[("weights", "trained", "si_sdr_gain"), "difference"] == pytest.approx(difference)
    for file in ("report.html", "claims.csv", "figures/factor-weights.png", "figures/factor-start.png"):
        assert (output / file).is_file()

    # results are kept unless asked for, and then nothing is done twice
    weights = sorted(output.glob("trainings/*/weights.safetensors"))
    made = [file.stat().st_mtime_ns for file in (*weights, *sorted(output.glob("jobs/*")))]
    assert len(weights) == 2
    assert main(command) == 2
    assert main([*command, "--overwrite"]) == 0
    assert [file.stat().st_mtime_ns for file in (*weights, *sorted(output.glob("jobs/*")))] == made
    assert (output / "ablation.md").read_text() == page


def test_mixtures_that_fail_are_noted_and_left_out(ablation, mixtures, tmp_path, capsys):
    described = yaml.safe_load(ablation.read_text())
    del described["factors"]["weights"], described["replicates"]
    ablation.write_text(yaml.safe_dump(described))
    write_sound(tmp_path / "noise1.wav", Sound(torch.zeros(1, 16000), 16000), overwrite=True)
    assert main(["ablate", str(ablation), "--mixtures", str(mixtures), "--output", str(tmp_path / "results")]) == 0
    printed = capsys.readouterr()
    assert printed.err.startswith("note: 1 (input): ")
    assert printed.err.count("\n") == 1
    assert "2 combinations on 2 mixtures" in printed.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing", "--mixtures", "MIXTURES"], "there is no ablation nothing"),
        (["videos", "--mixtures", "nowhere.csv"], "nowhere.csv does not exist"),
        (["training", "--mixtures", "MIXTURES"], "prepared/s1-train does not exist"),
    ],
)
def test_mistakes_are_one_line_and_code_2_before_any_work(arguments, message, mixtures, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    given = [str(mixtures) if word == "MIXTURES" else word for word in arguments]
    assert main(["ablate", *given, "--output", "results"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list(folder.iterdir()) == []


def test_an_interrupted_ablation_tells_that_it_goes_on(ablation, mixtures, tmp_path, monkeypatch, capsys):
    def interrupted(*given, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("minvae_pyro.ablation.training.train", interrupted)
    output = tmp_path / "results"
    assert main(["ablate", str(ablation), "--mixtures", str(mixtures), "--output", str(output)]) == 130
    assert capsys.readouterr().err == (
        f"minvae ablate: interrupted; what is finished is in {output}, the same command goes on there\n"
    )


def test_help(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["ablate", "--help"])
    assert stop.value.code == 0
    assert "FILE.yaml|NAME" in capsys.readouterr().out
