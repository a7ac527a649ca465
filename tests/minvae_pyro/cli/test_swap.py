"""Priors, guides, noise models and engines by name, a user's own included, on the command line and in files."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
import yaml

import minvae_pyro.enhancement.enhance
from minvae_pyro.checkpoints.checkpoint import describe, load_checkpoint
from minvae_pyro.cli.main import main
from minvae_pyro.inference.settings import PARTS
from minvae_pyro.registry.build import make
from minvae_pyro.synthetic.talker import SyntheticUtterance

Capture = pytest.CaptureFixture[str]

OWN = '''
from pyro.nn import PyroModule
from minvae_pyro.models import AudioVAE, NMFNoise
from minvae_pyro.nn.audio import SpectrumDecoder


class SmallVAE(AudioVAE):
    """Our own prior.

    Args:
        width: units of the hidden layer.
    """

    def __init__(self, width: int = 8) -> None:
        super().__init__(32, SpectrumDecoder(32, width))


class LoudNoise(NMFNoise):
    """Our own noise."""

    def __init__(self, rank: int = 2, factor: float = 1.0) -> None:
        super().__init__(rank)
        self.factor = factor


class LooseVAE(AudioVAE):
    def __init__(self, width=8):
        assert isinstance(width, int)
        super().__init__(32, SpectrumDecoder(32, width))


class Deaf(PyroModule):
    """No guide for training."""
'''

TRANSFORMS = """
from minvae_pyro.corpora.corpus import Transform
from minvae_pyro.synthetic.corpus import SyntheticCorpus


class Plain:
    def __init__(self, share=1.0):
        print("share", share, type(share).__name__)

    def __call__(self, utterances, generator, corpus):
        return utterances


class Derived(Transform):
    def __call__(self, utterances, generator, corpus):
        return utterances


def function(utterances, generator, corpus):
    return utterances


class Narrow:
    def __call__(self, utterances):
        return utterances


def narrow(utterances):
    return utterances


class Nothing:
    pass


class Needing(Plain):
    def __init__(self, share):
        pass


class Lent:
    def __init__(self, utterances=2, seconds=0.7):
        self.inner = SyntheticCorpus(int(utterances), seconds)
        self.stft, self.lengths = self.inner.stft, self.inner.lengths

    def load(self, row, start=0, stop=None):
        return self.inner.load(row, start, stop)

    def load_power(self, row, start, stop):
        return self.inner.load_power(row, start, stop)
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with a module of the user's own, as a console script finds it: not on the path."""
    (tmp_path / "swap_own.py").write_text(OWN)
    (tmp_path / "swap_broken.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder not in ("", str(tmp_path))])
    yield tmp_path
    sys.modules.pop("swap_own", None)


@pytest.fixture
def talk(here: Path, utterance: SyntheticUtterance) -> str:
    soundfile.write(here / "talk.wav", (utterance.waveform[:4800] + 0.05 * torch.randn(4800)).numpy(), 16000)
    return "talk.wav"


def data(utterances: int = 2) -> list[str]:
    options = []
    for split in ("train", "validation"):
        options += [f"--data.{split}", "SyntheticCorpus", f"--data.{split}.seconds", "0.7"]
        options += [f"--data.{split}.utterances", str(utterances)]
    return [*options, "--epochs", "1", "--device", "cpu", "--output", "run"]


def refused(capsys: Capture, *arguments: str) -> str:
    assert main(list(arguments)) == 2
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.count("\n") == 1
    return written.err


def made(key: str, given: dict[str, Any]) -> Any:
    """The part that enhancement makes of what the command line has given it."""
    base, short = PARTS[key]
    return make(base, given[key], key, short)


def test_a_prior_of_ones_own_is_trained_and_enhances(here: Path, talk: str, capsys: Capture) -> None:
    own = ["--prior", "swap_own.SmallVAE", "--prior.width", "6", "--guide", "AudioGuide"]
    assert main(["train", *own, *data()]) == 0
    prior: Any = load_checkpoint(here / "run" / "weights.safetensors", trust="swap_own").prior
    assert type(prior).__name__ == "SmallVAE"
    assert prior.decoder.hidden.out_features == 6
    capsys.readouterr()
    options = ["--checkpoint", "run/weights.safetensors", "--noise", "swap_own.LoudNoise", "--noise.factor", "2"]
    options += ["--engine", "svi", "--engine.iterations", "2", "--json"]
    assert "--trust swap_own" in refused(capsys, "enhance", talk, *options)
    assert main(["enhance", talk, *options, "--trust", "swap_own"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["noise"], summary["engine"]) == ("LoudNoise", "svi")


def test_arguments_without_a_class_are_those_of_the_default_engine(
    talk: str, tiny_checkpoint: Path, capsys: Capture
) -> None:
    summary = enhanced(capsys, talk, tiny_checkpoint, "--engine.iterations", "2", "--engine.last_rate", "0.05")
    assert summary["engine"] == "fast"


def test_a_tolerance_stops_an_engine(
    talk: str, tiny_checkpoint: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines: list[Any] = []
    chosen = minvae_pyro.enhancement.enhance.enhance

    def noted(*arguments: Any, **options: Any) -> Any:
        engines.append(options["engine"])
        result = chosen(*arguments, **options)
        engines.append(len(result.objective))
        return result

    monkeypatch.setattr(minvae_pyro.enhancement.enhance, "enhance", noted)
    options = ["--checkpoint", str(tiny_checkpoint), "--engine", "svi", "--engine.tolerance"]
    assert main(["enhance", talk, *options, "1000"]) == 0
    assert made("engine", {"engine": engines[0]}).tolerance == 1000
    assert engines[1] == 10
    capsys.readouterr()
    assert "tolerance of at least 0" in refused(capsys, "enhance", talk, *options, "-1", "--overwrite")


def test_the_same_in_a_file(here: Path) -> None:
    options = {
        "prior": {"class_path": "swap_own.SmallVAE", "init_args": {"width": 5}},
        "guide": "AudioGuide",
        "data": {
            split: {"class_path": "SyntheticCorpus", "init_args": {"utterances": 2, "seconds": 0.7}}
            for split in ("train", "validation")
        },
        "epochs": 1,
        "device": "cpu",
        "output": "run",
    }
    (here / "mine.yaml").write_text(yaml.safe_dump(options))
    assert main(["train", "--config", "mine.yaml", "--prior.width", "7"]) == 0
    described = describe(here / "run" / "weights.safetensors", trust=["swap_own"])
    assert described["prior"] == {"class_path": "swap_own.SmallVAE", "init_args": {"width": 7}}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["train", "--prior.help", "MinVAE"], ["--prior.visual_component", "ConstantComponent"]),
        (["train", "--guide.help=MixtureGuide"], ["--guide.responsibility", "GatedResponsibility"]),
        (["train", "--prior.help", "swap_own.SmallVAE"], ["--prior.width", "units of the hidden layer"]),
        (["enhance", "--noise.help", "BayesianNMFNoise"], ["--noise.rank", "most components"]),
        (["enhance", "--engine.help", "vem"], ["--engine.iterations", "EM iterations"]),
        (["enhance", "--guide.help=MeanFieldGuide"], ["minvae_pyro.guides.MeanFieldGuide"]),
        (["train", "--help"], ["AudioVAE", "MixtureGuide", "UniformNoise", "MouthAugmentation", "usage: minvae train"]),
    ],
)
def test_help_of_classes(arguments: list[str], told: list[str], here: Path, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for part in told:
        assert part in " ".join(text.split())
    assert "torch.nn" not in text
    assert "AutoGuide" not in text


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--prior", "Foo"], ["no prior 'Foo'", "AudioVAE", "SwitchingVAE", "import path"]),
        (["--prior", "swap_own.Foo"], ["no prior 'swap_own.Foo'", "no attribute", "AudioVAE"]),
        (["--prior", "swap_gone.Foo"], ["No module named 'swap_gone'", "AudioVAE"]),
        (
            ["--prior", "minvae_pyro.nn.audio.SpectrumEncoder"],
            ["is no prior: it does not derive from SpeechPrior"],
        ),
        (["--prior", "SpeechPrior"], ["SpeechPrior is a base class", "latent, speech_variance", "AudioVAE"]),
        (["--prior.size", "3"], ["no class that could take 'size'"]),
        (["--prior", "AudioVAE", "--prior.size", "3"], ["AudioVAE has no argument 'size'", "latent_dim, decoder"]),
        (["--prior", "AudioVAE", "--prior.latent_dim", "x"], ["prior.latent_dim: must be int, not x"]),
        (["--prior", "AudioVAE", "--prior.decoder", "Foo"], ["no prior.decoder 'Foo'", "SpectrumDecoder"]),
        (["--guide", "Foo"], ["no guide 'Foo'", "AudioGuide", "MixtureGuide"]),
        (["--guide", "swap_own.Deaf"], ["does not derive from TrainingGuide", "AudioGuide"]),
        (["--guide", "AudioVAE"], ["'AudioVAE'", "no guide", "AudioGuide"]),
        (["--guide", "SharedGuide"], ["SharedGuide is a guide for MinVAE", "AudioVAE is not", "AudioGuide"]),
        (["--prior", "MinVAE"], ["MinVAE samples alpha, which AudioGuide does not", "SharedGuide"]),
        (["--prior.latent_dim", "16"], ["16 dimensions in AudioVAE and 32 in AudioGuide"]),
        (["--data.noise", "Foo"], ["no data.noise 'Foo'", "UniformNoise"]),
        (["--data.noise", "UniformNoise", "--data.noise.x", "1"], ["'x'", "highest, share"]),
        (["--data.train", "prepared"], ["no data.train 'prepared'", "'[prepared, ...]'"]),
    ],
)
def test_mistakes_of_training(arguments: list[str], told: list[str], here: Path, capsys: Capture) -> None:
    usual = [] if arguments[0] == "--prior.size" else ["--prior", "AudioVAE"]
    line = refused(capsys, "train", *usual, "--guide", "AudioGuide", *data(1), *arguments)
    for part in told:
        assert part in line
    assert not (here / "run").exists()


def test_what_is_missing_is_told_with_what_there_is(here: Path, capsys: Capture) -> None:
    line = refused(capsys, "train", "--prior", "AudioVAE")
    assert "--guide is missing. Choose AudioGuide" in line
    assert "--data.train is missing" in line
    assert "--prior is missing. Choose AudioVAE" in refused(capsys, "train", "--epochs", "3")


def test_a_module_that_fails_is_told_with_its_line(here: Path, capsys: Capture) -> None:
    line = refused(capsys, "train", "--prior", "swap_broken.Prior", "--guide", "AudioGuide", *data(1))
    assert "swap_broken raises ZeroDivisionError (division by zero; " in line
    assert "swap_broken.py, line 1)" in line


@pytest.mark.parametrize("name", ["Plain", "Derived", "function"])
def test_a_transform_of_ones_own_needs_no_annotations(name: str, here: Path, capsys: Capture) -> None:
    (here / "swap_own.py").write_text(OWN + TRANSFORMS)
    options = ["--data.augmentation", f"swap_own.{name}"]
    if name == "Plain":
        options += ["--data.augmentation.share", "0.5"]
    assert main(["train", "--prior", "AudioVAE", "--guide", "AudioGuide", *data(), *options]) == 0
    assert "share 0.5 float" in capsys.readouterr().out or name != "Plain"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Narrow", "its __call__ does not take (utterances, generator, corpus)"),
        ("narrow", "its __call__ does not take (utterances, generator, corpus)"),
        ("Nothing", "it has no method __call__(utterances, generator, corpus)"),
        ("Needing", "Needing needs --data.noise.share"),
    ],
)
def test_a_transform_that_cannot_be_used_is_told_why(name: str, told: str, here: Path, capsys: Capture) -> None:
    (here / "swap_own.py").write_text(OWN + TRANSFORMS)
    own = ["--prior", "AudioVAE", "--guide", "AudioGuide", *data(1), "--data.noise", f"swap_own.{name}"]
    assert told in refused(capsys, "train", *own)
    assert not (here / "run").exists()


def test_a_corpus_of_ones_own_needs_no_base_class(here: Path) -> None:
    (here / "swap_own.py").write_text(OWN + TRANSFORMS)
    own = ["--prior", "AudioVAE", "--guide", "AudioGuide", *data(), "--data.train", "swap_own.Lent"]
    assert main(["train", *own]) == 0


def test_a_prior_of_ones_own_needs_no_annotations(here: Path) -> None:
    own = ["--prior", "swap_own.LooseVAE", "--prior.width", "6", "--guide", "AudioGuide"]
    assert main(["train", *own, *data()]) == 0
    assert describe(here / "run" / "weights.safetensors", trust="swap_own")["prior"] == {
        "class_path": "swap_own.LooseVAE",
        "init_args": {"width": 6},
    }


def enhanced(capsys: Capture, talk: str, checkpoint: Path, *arguments: str) -> dict[str, Any]:
    assert main(["enhance", talk, "--checkpoint", str(checkpoint), "--json", "--overwrite", *arguments]) == 0
    return dict(json.loads(capsys.readouterr().out))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What enhancement is asked for, the inference itself left out."""
    import minvae_pyro.enhancement.enhance

    calls: list[dict[str, Any]] = []
    original = minvae_pyro.enhancement.enhance.enhance

    def noted(source: Any, **options: Any) -> Any:
        calls.append(options)
        return original(source, **options)

    monkeypatch.setattr(minvae_pyro.enhancement.enhance, "enhance", noted)
    return calls


def test_parts_of_enhancement_and_their_arguments(
    talk: str, tiny_checkpoint: Path, known_inference: Any, asked: list[dict[str, Any]], capsys: Capture
) -> None:
    parts = ["--noise", "BayesianNMFNoise", "--noise.rank=8", "--guide", "PointGuide", "--engine", "vem"]
    summary = enhanced(capsys, talk, tiny_checkpoint, *parts, "--engine.learning_rate", "1e-2", "--start", "audio")
    assert (summary["noise"], summary["guide"], summary["engine"]) == ("BayesianNMFNoise", "PointGuide", "vem")
    assert made("noise", asked[0]).rank == 8
    assert made("engine", asked[0]).learning_rate == 0.01
    # the checkpoint's noise, with another rank
    assert enhanced(capsys, talk, tiny_checkpoint, "--noise.rank", "3")["noise"] == "NMFNoise"
    assert made("noise", asked[1]).rank == 3
    assert asked[1].get("guide") is None


def test_a_file_gives_what_is_not_typed(
    talk: str, tiny_checkpoint: Path, known_inference: Any, asked: list[dict[str, Any]], capsys: Capture
) -> None:
    Path("mine.yaml").write_text(
        "seed: 3\nstart: audio\nengine: {class_path: vem, init_args: {iterations: 4}}\n"
        "noise: {class_path: NMFNoise, init_args: {rank: 2}}\nguide: MeanFieldGuide\n"
    )
    summary = enhanced(capsys, talk, tiny_checkpoint, "--config", "mine.yaml", "--noise.rank", "5", "--seed=4")
    assert (summary["engine"], summary["noise"]) == ("vem", "NMFNoise")
    assert (asked[0]["seed"], asked[0]["start"]) == (4, "audio")
    assert made("engine", asked[0]).iterations == 4
    assert made("noise", asked[0]).rank == 5


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--noise", "Foo"], ["no noise 'Foo'", "BayesianNMFNoise", "NMFNoise"]),
        (["--noise", "NMFNoise", "--noise.size", "3"], ["NMFNoise cannot be made", "size", "Its arguments: rank"]),
        (["--noise.rank", "many"], ["rank: must be int, not many"]),
        (["--noise.rank", "0"], ["NMFNoise cannot be made", "rank"]),
        (["--noise", "NoiseModel"], ["NoiseModel", "NMFNoise"]),
        (["--guide", "AudioGuide"], ["no guide 'AudioGuide'", "MeanFieldGuide"]),
        (["--engine", "warp"], ["no engine 'warp'", "svi, vem"]),
        (["--engine.steps", "x"], ["steps: must be int, not x"]),
        (["--start", "somewhere"], ["no start 'somewhere'", "visual"]),
        (["--config", "gone.yaml"], ["config: File does not exist", "gone.yaml"]),
    ],
)
def test_mistakes_of_enhancement(
    arguments: list[str], told: list[str], talk: str, tiny_checkpoint: Path, capsys: Capture
) -> None:
    line = refused(capsys, "enhance", talk, "--checkpoint", str(tiny_checkpoint), *arguments)
    for part in told:
        assert part in line
    assert not Path("talk-enhanced.wav").exists()


def test_files_are_refused_before_classes_are_looked_for(here: Path, capsys: Capture) -> None:
    assert "there is no file" in refused(capsys, "enhance", "--noise.rank", "8", "missing.wav", "--engine", "warp")
