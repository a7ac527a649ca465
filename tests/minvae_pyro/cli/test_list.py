import importlib
import json
import re

import pytest

from minvae_pyro.cli import list as listing
from minvae_pyro.cli.list import Entry, kinds, paper, summary
from minvae_pyro.cli.main import main

ALL = kinds()
KINDS = ALL.keys() - {"configurations", "families", "checkpoints", "ablations"}


def entries(kind: str) -> list[Entry]:
    return listing.entries(ALL[kind][2])


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


def test_help(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["list", "--help"])
    assert stop.value.code == 0
    assert "KIND" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("priors", {"AudioVAE", "VisualVAE", "AudioVisualVAE", "ConditionalVAE", "MinVAE", "MixtureOfVAEs"}),
        ("guides", {"AudioGuide", "VisualGuide", "MixtureGuide", "SharedGuide"}),
        ("noises", {"NMFNoise", "BayesianNMFNoise", "StationaryNoise"}),
        ("test-guides", {"MeanFieldGuide", "PointGuide"}),
        ("components", {"ConstantComponent", "StandardComponent", "ConditionalComponent"}),
        ("alpha-priors", {"LearntAlphaPrior", "FixedAlphaPrior", "LearntMarkovAlphaPrior", "FixedMarkovAlphaPrior"}),
        ("posteriors", {"NoisyAudioEncoder", "MouthEncoder", "CleanAudioEncoder"}),
        ("mouth-networks", {"MouthPerceptron", "MouthConvolution"}),
        ("audio-encoders", {"SpectrumEncoder"}),
        ("decoders", {"SpectrumDecoder", "DeepDecoder"}),
        (
            "transforms",
            {"NoNoise", "UniformNoise", "RealisticNoise", "MouthAugmentation", "MouthCorruption", "MicrophoneColour"},
        ),
        ("corpora", {"SyntheticCorpus"}),
        ("engines", {"svi", "vem"}),
        ("starts", {"visual", "audio", "both", "prior", "random"}),
        ("configurations", {"a-vae", "demo", "min-vae"}),
        ("families", {"family"}),
        ("checkpoints", {"a-vae", "min-vae"}),
        ("ablations", {"videos"}),
    ],
)
def test_what_there_is_is_found(kind, names):
    assert names <= {entry.name for entry in entries(kind)}


def test_bases_and_what_only_programs_make_are_left_out():
    names = {entry.name for kind in KINDS for entry in entries(kind)}
    bases = {"SpeechPrior", "NoiseModel", "UtteranceGuide", "InferenceEngine", "Responsibility", "AlphaPrior"}
    assert not names & (bases | {"MarkovAlphaPrior", "Transform", "Corpus", "TrainingGuide", "LookingPrior"})
    assert not names & {"GivenComponent", "GivenFeatures", "UtteranceAlphaPrior", "NoisyMixture", "STFT"}


def test_every_path_leads_to_what_it_names():
    for kind in KINDS:
        for entry in entries(kind):
            module, _, name = entry.path.rpartition(".")
            assert summary(getattr(importlib.import_module(module), name).__doc__) == entry.summary


@pytest.mark.parametrize("kind", ALL)
def test_every_entry_is_one_plain_sentence(kind):
    found = entries(kind)
    assert found
    for entry in found:
        assert entry.summary.endswith("."), entry
        assert "\n" not in entry.summary
        assert "`" not in entry.summary
        assert "arXiv" not in entry.summary, entry
        assert re.fullmatch(r"(arXiv \d{4}\.\d{4,5})?", entry.paper)


def test_checkpoints_say_when_to_take_them():
    told = {entry.name: entry.summary for entry in entries("checkpoints")}
    assert told["min-vae"].endswith(": the first choice, with a video or without.")
    assert told["a-vae"].endswith(": for sound alone, or where the video does more harm than good.")
    assert told["sw-vae"].endswith(": to study this prior; one talker.")
    assert [name for name, text in told.items() if ": " not in text] == []


def test_every_prior_has_its_paper():
    assert [entry.name for entry in entries("priors") if not entry.paper] == []


@pytest.mark.parametrize(
    ("docstring", "sentence", "cited"),
    [
        ("A-VAE: speech (Leglaive et al., arXiv 1902.01605).\n\nMore. arXiv 1.", "A-VAE: speech.", "arXiv 1902.01605"),
        ("As :class:`~a.b.MinVAE`, over\n    two lines. Second.", "As MinVAE, over two lines.", ""),
        ("One.\n\nLater (arXiv 1912.10647) and arXiv 1908.02590.", "One.", "arXiv 1912.10647"),
        ("``x @ y`` 4489 -> 2.5 units.", "x @ y 4489 -> 2.5 units.", ""),
        (None, "", ""),
    ],
)
def test_sentences_and_papers_of_docstrings(docstring, sentence, cited):
    assert summary(docstring) == sentence
    assert paper(docstring) == cited
