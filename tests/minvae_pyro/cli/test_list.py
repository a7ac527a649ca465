import json

import pytest

from minvae_pyro.cli.main import main


def test_everything_is_shown_within_the_width_of_a_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["list"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    for name in ("AudioVAE", "MixtureGuide", "BayesianNMFNoise", "MeanFieldGuide", "svi", "visual", "min-vae"):
        assert name in text
    assert "arXiv 1902.01605" in text
    assert "import path" in text


def test_one_kind(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["list", "noises"]) == 0
    text = capsys.readouterr().out
    assert "NMFNoise" in text
    assert "AudioVAE" not in text


def test_json(capsys):
    assert main(["list", "priors", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert list(shown) == ["priors"]
    found = {entry["name"]: entry for entry in shown["priors"]}
    assert found["AudioVAE"]["path"] == "minvae_pyro.models.AudioVAE"
    assert found["AudioVAE"]["paper"] == "arXiv 1902.01605"
    assert found["AudioVAE"]["summary"].startswith("A-VAE: ")


def test_a_wrong_kind_is_told_with_the_right_ones(capsys):
    assert main(["list", "models"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "priors, guides, noises" in error


@pytest.mark.parametrize("arguments", [["--help"]])
def test_help(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["list", *arguments])
    assert stop.value.code == 0
    assert "KIND" in capsys.readouterr().out
