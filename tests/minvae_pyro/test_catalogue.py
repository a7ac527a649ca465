import importlib
import re

import pytest
from torch import nn

from minvae_pyro.catalogue import KINDS, catalogue, choices, entries, import_path, paper, summary
from minvae_pyro.models import AudioVAE, NMFNoise, SpeechPrior, VisualVAE


@pytest.fixture(scope="module")
def there():
    return catalogue()


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("priors", {"AudioVAE", "VisualVAE", "AudioVisualVAE", "ConditionalVAE", "MinVAE", "MixtureOfVAEs"}),
        ("guides", {"AudioGuide", "VisualGuide", "MixtureGuide", "SharedGuide"}),
        ("noises", {"NMFNoise", "BayesianNMFNoise", "StationaryNoise"}),
        ("test-guides", {"MeanFieldGuide", "PointGuide"}),
        ("components", {"ConstantComponent", "StandardComponent", "ConditionalComponent"}),
        ("posteriors", {"NoisyAudioEncoder", "MouthEncoder", "CleanAudioEncoder"}),
        ("mouth-networks", {"MouthPerceptron", "MouthConvolution"}),
        ("networks", {"SpectrumEncoder", "SpectrumDecoder"}),
        ("training-noise", {"NoNoise", "UniformNoise", "RealisticNoise"}),
        ("augmentations", {"MouthAugmentation", "MouthCorruption"}),
        ("corpora", {"SyntheticCorpus"}),
        ("engines", {"svi", "vem"}),
        ("starts", {"visual", "audio", "both", "prior", "random"}),
        ("configurations", {"a-vae", "demo", "min-vae"}),
        ("checkpoints", {"a-vae", "min-vae"}),
    ],
)
def test_what_there_is_is_found(there, kind, names):
    assert names <= {entry.name for entry in there[kind]}


def test_bases_and_what_only_programs_make_are_left_out(there):
    names = {entry.name for kind in KINDS for entry in there[kind]}
    assert not names & {
        "SpeechPrior",
        "NoiseModel",
        "UtteranceGuide",
        "InferenceEngine",
        "Responsibility",
        "AlphaPrior",
    }
    assert not names & {
        "MarkovAlphaPrior",
        "Transform",
        "Corpus",
        "GivenComponent",
        "UtteranceAlphaPrior",
        "NoisyMixture",
        "STFT",
    }


def test_nothing_is_of_two_kinds(there):
    paths = [entry.path for kind in KINDS for entry in there[kind]]
    assert len(set(paths)) == len(paths)


def test_every_path_leads_to_what_it_names(there):
    for kind in KINDS:
        for entry in there[kind]:
            module, _, name = entry.path.rpartition(".")
            assert getattr(importlib.import_module(module), name) is entry.target


def test_every_entry_is_one_plain_sentence(there):
    for kind, found in there.items():
        assert found, kind
        for entry in found:
            assert entry.summary.endswith("."), entry
            assert "\n" not in entry.summary
            assert "`" not in entry.summary
            assert "arXiv" not in entry.summary, entry
            assert re.fullmatch(r"(arXiv \d{4}\.\d{4,5})?", entry.paper)


def test_every_prior_has_its_paper(there):
    assert [entry.name for entry in there["priors"] if not entry.paper] == []


def test_import_paths_are_the_shortest():
    assert import_path(AudioVAE) == "minvae_pyro.models.AudioVAE"
    assert import_path(nn.Linear) == "torch.nn.Linear"


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


def test_choices_are_those_of_the_place_and_of_the_type():
    def anything(target):
        return True

    assert choices("minvae train", "prior", anything) == [entry.name for entry in entries("priors")]
    assert choices("minvae enhance", "guide", anything) == [entry.name for entry in entries("test-guides")]
    assert choices("minvae train", "guide", anything) == [entry.name for entry in entries("guides")]
    assert choices("minvae train", "prior", lambda target: issubclass(target, VisualVAE)) == ["VisualVAE"]
    mixing = choices("minvae train", "prior.alpha_prior", lambda target: issubclass(target, nn.Module))
    assert mixing == [entry.name for entry in entries("mixing")]
    # a place of unknown name: whatever is of the type, but no whole model where a network is asked for
    unknown = choices("minvae train", "guide.something", lambda target: isinstance(target, type))
    assert "SpectrumEncoder" in unknown
    assert "AudioVAE" not in unknown
    assert choices("minvae enhance", "noise.inner", lambda target: target is NMFNoise) == ["NMFNoise"]
    assert choices("minvae train", "speed", lambda target: target is SpeechPrior) == []
