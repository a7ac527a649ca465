"""Every way in by which a checkpoint could run code, and the one way to let it use a module of one's own."""

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import minvae_pyro
from minvae_pyro.ablation.design import read_ablation
from minvae_pyro.checkpoints.checkpoint import Checkpoint, checkpoint_file, describe, load_checkpoint, restored
from minvae_pyro.cli.main import main
from minvae_pyro.enhancement.utterances import Utterances
from minvae_pyro.errors import UserError
from minvae_pyro.evaluation.systems import System

OWN = """
from collections.abc import Callable

import torch
from torch import Tensor

from minvae_pyro.models import AudioVAE, NMFNoise
from minvae_pyro.nn.audio import SpectrumDecoder
from os import system


def double(power: Tensor) -> Tensor:
    return 2 * power


class OwnPrior(AudioVAE):
    pass


class OwnNoise(NMFNoise):
    def __init__(self, rank: int = 2, scale: Callable[[Tensor], Tensor] | None = None) -> None:
        super().__init__(rank)
        self.scale = scale


def start(prior, encoders, utterances, trust, seed):
    return encoders.encode_audio(utterances)
"""

HELPER = """
from pathlib import Path

from minvae_pyro.models import NMFNoise

Path("ran").touch()


class Payload(NMFNoise):
    pass


def start(prior, encoders, utterances, trust, seed):
    return encoders.encode_audio(utterances)
"""

NAMES = [
    "os.system",
    "posix.system",
    "builtins.eval",
    "builtins.exec",
    "builtins.__import__",
    "subprocess.run",
    "subprocess.Popen",
    "importlib.import_module",
    "pickle.loads",
    "runpy.run_path",
    "torch.load",
    "torch.hub.load",
    "torch.nn.Module.load_state_dict",
    "torch.nn.modules.activation.torch.load",
    "helper.Payload",
    "helper.start",
    "helper",
    "minvae_pyro.files.os.system",
    "minvae_pyro.files.write_atomic",
    "minvae_pyro.files.make_folder",
    "minvae_pyro.training.run.shutil.rmtree",
    "minvae_pyro.checkpoints.checkpoint.save_checkpoint",
    "minvae_pyro.registry.names.importlib.import_module",
    "minvae_pyro.models.noise.copy.deepcopy",
    "minvae_pyro.nn.audio.nn.Linear",
    "minvae_pyro.cli.main.main",
    "minvae_pyro",
    "models.noise.NMFNoise",
    "ｏｓ.system",  # in letters of full width
    "os\u2024system",  # one-dot leader
    "minvae_pyro.models.ＮＭＦNoise",
    "os.system\n",
    "",
    ".",
    "os..system",
    "__main__.NMFNoise",
]

DECODER = {"class_path": "SpectrumDecoder"}
ENCODER = {"class_path": "SpectrumEncoder"}

Place = tuple[str, ...]
PLACES: list[Place] = [
    ("prior",),
    ("guide",),
    ("prior", "decoder"),
    ("prior", "latent_dim"),
    ("guide", "audio"),
    ("guide", "audio", "encoder"),
    ("guide", "audio", "encoder", "transform"),
    ("guide", "audio", "encoder", "hidden"),
    ("enhancement", "noise"),
    ("enhancement", "noise", "noise"),
    ("enhancement", "noise", "rank"),
    ("enhancement", "engine"),
    ("enhancement", "engine", "iterations"),
    ("enhancement", "guide"),
    ("enhancement", "guide", "patience"),
    ("enhancement", "start"),
    ("enhancement", "draws"),
    ("enhancement", "temperature"),
]
"""Where something may be named: a part, and arguments within each other."""

PARTS: dict[Place, Any] = {
    ("prior",): {"class_path": "AudioVAE", "init_args": {"decoder": DECODER}},
    ("guide",): {
        "class_path": "AudioGuide",
        "init_args": {"audio": {"class_path": "NoisyAudioEncoder", "init_args": {"encoder": ENCODER}}},
    },
    ("enhancement", "noise"): {"class_path": "FrozenNoise", "init_args": {"noise": {"class_path": "NMFNoise"}}},
    ("enhancement", "engine"): {"class_path": "FastVariational"},
    ("enhancement", "guide"): {"class_path": "PatientMixtureGuide"},
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with modules beside the checkpoint, which is the current one and on the path."""
    (tmp_path / "helper.py").write_text(HELPER)
    (tmp_path / "trust_own.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("helper", "trust_own"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield tmp_path
    for name in ("helper", "trust_own"):
        sys.modules.pop(name, None)


def checkpoint(path: Path, **changes: Any) -> Path:
    """A shipped checkpoint whose description is changed."""
    shipped = checkpoint_file("a-vae-s1")
    with safe_open(shipped, framework="pt") as file:
        metadata = {**json.loads(file.metadata()["minvae_pyro"]), **changes}
    save_file(load_file(shipped), path, metadata={"minvae_pyro": json.dumps(metadata)})
    return path


def changed(place: Place, value: Any) -> dict[str, Any]:
    """The part of a description in which ``value`` stands at a place."""
    known = max((part for part in PARTS if place[: len(part)] == part), key=len, default=place[:1])
    described = json.loads(json.dumps(PARTS.get(known, {})))
    rest = place[len(known) :]
    if not rest:
        described = value
    else:
        node = described
        for key in rest[:-1]:
            node = node["init_args"][key]
        if known in PARTS:
            node = node.setdefault("init_args", {})
        node[rest[-1]] = value
    return {known[0]: described if len(known) == 1 else {known[1]: described}}


def enhanced(path: Path | Checkpoint, **options: Any) -> Any:
    sound = 0.1 * torch.randn(2000, generator=torch.Generator().manual_seed(0))
    return minvae_pyro.enhance(sound, sample_rate=16000, checkpoint=path, **options)


def tried(described: dict[str, Any], shipped: Checkpoint) -> None:
    """Use a description as if it had been loaded, without the time that loading takes."""
    if "enhancement" in described:
        enhanced(replace(shipped, **described))
    else:
        restored(Path("tried.safetensors"), load_file(checkpoint_file("a-vae-s1")), {**shipped.metadata, **described})


@pytest.mark.parametrize("place", PLACES, ids=".".join)
def test_nothing_runs_that_a_checkpoint_names(place: Place, here: Path) -> None:
    imported = set(sys.modules)
    shipped = load_checkpoint("a-vae-s1")
    for name in NAMES:
        arguments = {"command": "touch ran", "args": ["touch", "ran"], "path": "ran"}
        ways: list[Any] = [name, {"class_path": name}, {"class_path": name, "init_args": arguments}]
        ways += [[{"class_path": name}], json.dumps({"class_path": name}), {"x": {"class_path": name}}]
        for way in ways:
            described = changed(place, way)
            with pytest.raises(UserError) as refused:
                tried(described, shipped)
            assert "\n" not in str(refused.value)
    with pytest.raises(UserError):
        enhanced(checkpoint(here / "evil.safetensors", **described))
    assert not {"helper", "runpy", "models.noise"} & (set(sys.modules) - imported)
    assert not (here / "ran").exists()


def test_the_places_are_places() -> None:
    shipped = load_checkpoint("a-vae-s1")
    right = {"rank": 2, "iterations": 3, "draws": 2, "temperature": 2.0, "hidden": 128, "latent_dim": 32}
    right |= {"patience": 0.5, "transform": "log_power", "start": "audio"}
    for place in PLACES:
        value = PARTS.get(place) or right.get(place[-1])
        if value is not None and place != ("enhancement", "noise", "rank"):
            tried(changed(place, value), shipped)


def test_a_refusal_says_how_to_trust(here: Path) -> None:
    path = checkpoint(here / "own.safetensors", prior={"class_path": "trust_own.OwnPrior"})
    with pytest.raises(UserError, match=r"--trust trust_own \(trust=\[\.\.\.\] in Python\)"):
        load_checkpoint(path)
    with pytest.raises(UserError, match="--trust trust_own"):
        describe(path)
    assert "trust_own" not in sys.modules


@pytest.mark.parametrize("part", ["noise", "guide", "engine", "start"])
def test_the_door_to_pyro_runs_no_part_either(part: str, here: Path) -> None:
    name = "helper.start" if part == "start" else "helper.Payload"
    path = checkpoint(here / "evil.safetensors", enhancement={part: name})
    utterances = Utterances.from_recording(0.1 * torch.randn(4800), path, sample_rate=16000)
    with pytest.raises(UserError, match="--trust helper"):
        utterances.start()
    with pytest.raises(UserError, match="--trust helper"):
        utterances.gain(None, None)  # type: ignore[arg-type]
    assert "helper" not in sys.modules


def test_the_door_to_pyro_trusts_what_it_is_told(here: Path) -> None:
    path = checkpoint(here / "own.safetensors", enhancement={"noise": "trust_own.OwnNoise"})
    recording = 0.1 * torch.randn(4800)
    mixture, _ = Utterances.from_recording(recording, path, sample_rate=16000, trust=["trust_own"]).start()
    assert type(mixture.noise).__name__ == "OwnNoise"


def test_a_trusted_module_is_used(here: Path) -> None:
    path = checkpoint(
        here / "own.safetensors",
        prior={"class_path": "trust_own.OwnPrior"},
        enhancement={
            "noise": {"class_path": "trust_own.OwnNoise", "init_args": {"scale": "trust_own.double"}},
            "start": "trust_own.start",
        },
    )
    loaded = load_checkpoint(path, trust=["trust_own"])
    assert type(loaded.prior).__name__ == "OwnPrior"
    result = enhanced(path, trust=["trust_own"])
    assert result.noise_model == "OwnNoise"
    # the same by the words of the command line, and by a loaded one
    assert torch.equal(enhanced(loaded).speech, result.speech)


@pytest.mark.parametrize(
    "noise",
    [
        {"class_path": "trust_own.OwnNoise", "init_args": {"scale": "os.system"}},
        {"class_path": "trust_own.OwnNoise", "init_args": {"scale": "trust_own.system"}},
        {"class_path": "trust_own.OwnNoise", "init_args": {"scale": "trust_own.torch.load"}},
        {"class_path": "trust_own.OwnNoise", "init_args": {"scale": "builtins.eval"}},
        {"class_path": "trust_own.OwnNoise", "init_args": {"scale": {"class_path": "os.system"}}},
        {
            "class_path": "trust_own.OwnNoise",
            "init_args": {"scale": {"class_path": "trust_own.double", "init_args": {"power": 1}}},
        },
        "trust_own.system",
        "trust_own.double",
        "trust_own.SpectrumDecoder",
        "trust_own.OwnPrior",
        "trust_own.torch.hub.load",
        "helper.Payload",
        "trust_own_other.Noise",
    ],
)
def test_trust_goes_no_further_than_the_module_and_the_place(noise: Any, here: Path) -> None:
    path = checkpoint(here / "own.safetensors", enhancement={"noise": noise})
    with pytest.raises(UserError):
        enhanced(path, trust="trust_own")
    assert "helper" not in sys.modules


@pytest.mark.parametrize("trust", ["", [""], ["a b"], ["os;"], ["/tmp/helper.py"], [3], "helper.py\n"])
def test_what_is_trusted_is_a_module(trust: Any) -> None:
    with pytest.raises(UserError, match="no name of a module"):
        load_checkpoint("a-vae-s1", trust=trust)


def test_what_the_caller_gives_is_the_callers_own(here: Path) -> None:
    path = checkpoint(here / "evil.safetensors", enhancement={"noise": "helper.Payload", "start": "helper.start"})
    assert enhanced(path, noise="NMFNoise", start="audio").noise_model == "NMFNoise"
    assert "helper" not in sys.modules
    plain = checkpoint(here / "plain.safetensors")
    assert enhanced(plain, noise="trust_own.OwnNoise").noise_model == "OwnNoise"


def test_a_system_of_an_experiment_trusts_what_it_says(here: Path) -> None:
    path = str(checkpoint(here / "own.safetensors", prior={"class_path": "trust_own.OwnPrior"}))
    with pytest.raises(UserError, match=r"system ours, checkpoint: .*--trust trust_own"):
        System.from_description("ours", {"checkpoint": path})
    assert System.from_description("ours", {"checkpoint": path, "trust": ["trust_own"]}).trust == ("trust_own",)
    assert System.from_description("ours", {"checkpoint": path}, trust=["trust_own"]).trust == ("trust_own",)
    evil = str(checkpoint(here / "evil.safetensors", enhancement={"noise": "helper.Payload"}))
    with pytest.raises(UserError, match=r"system evil, checkpoint: .*--trust helper"):
        System("evil", evil).check()
    assert "helper" not in sys.modules


@pytest.fixture
def commands(here: Path, table: Path) -> dict[str, list[str]]:
    """Each command that reads a checkpoint, about to read `evil.safetensors`."""
    soundfile.write("talk.wav", 0.1 * torch.randn(4800).numpy(), 16000)
    (here / "systems.yaml").write_text("ours: {checkpoint: evil.safetensors}\n")
    (here / "ablation.yaml").write_text(
        "title: t\nfactors:\n  model:\n    ours: {checkpoint: evil.safetensors}\n    other: {checkpoint: a-vae-s1}\n"
    )
    evaluate = ["evaluate", "--mixtures", str(table), "--output", "out", "--no-sounds"]
    corpus = "{class_path: SyntheticCorpus, init_args: {utterances: 1, seconds: 0.7}}"
    data = [f"--data.{split}={corpus}" for split in ("train", "validation")]
    train = ["train", "--prior", "AudioVAE", "--guide", "AudioGuide", *data, "--epochs", "1", "--output", "run"]
    return {
        "enhance": ["enhance", "talk.wav", "--checkpoint", "evil.safetensors"],
        "enhance with a part": ["enhance", "talk.wav", "--checkpoint", "evil.safetensors", "--noise.rank", "2"],
        "evaluate": [*evaluate, "--system", "evil.safetensors"],
        "evaluate a file": [*evaluate, "--systems", "systems.yaml"],
        "ablate": ["ablate", "ablation.yaml", "--mixtures", str(table), "--output", "out", "--no-sounds"],
        "train": [*train, "--initialise", "{prior.decoder: evil.safetensors}"],
        "adapt": ["adapt", "talk.wav", "--output", "new.safetensors", "--checkpoint", "evil.safetensors"],
        "import": ["import", "evil.safetensors", "--format", "minvae_pyro-2", "--output", "new.safetensors"],
    }


@pytest.mark.parametrize(
    "command",
    ["enhance", "enhance with a part", "evaluate", "evaluate a file", "ablate", "train", "adapt", "import"],
)
def test_no_command_runs_it(
    command: str, commands: dict[str, list[str]], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    format = {"format": 2} if command == "import" else {}
    checkpoint(here / "evil.safetensors", prior={"class_path": "helper.Payload"}, **format)
    before = set(os.listdir(here))
    assert main(commands[command]) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1
    assert "--trust helper" in told[0]
    assert "helper" not in sys.modules
    assert not (here / "ran").exists()
    assert set(os.listdir(here)) - before <= {"out"}


@pytest.mark.parametrize("command", ["enhance", "evaluate a file", "train", "import"])
def test_each_command_trusts_what_it_is_told(command: str, commands: dict[str, list[str]], here: Path) -> None:
    format = {"format": 2} if command == "import" else {}
    checkpoint(here / "evil.safetensors", prior={"class_path": "trust_own.OwnPrior"}, **format)
    assert main([*commands[command], "--trust", "some.other", "--trust", "trust_own"]) == 0


def test_an_ablation_trusts_what_it_is_told(commands: dict[str, list[str]], here: Path) -> None:
    checkpoint(here / "evil.safetensors", prior={"class_path": "trust_own.OwnPrior"})
    plans = read_ablation("ablation.yaml", ["trust_own"]).plans()
    assert [plan.system(trust=["trust_own"]).trust for plan in plans] == [("trust_own",)] * 2


def test_what_lies_in_the_current_folder_is_not_imported(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder not in ("", str(here))])
    soundfile.write("talk.wav", 0.1 * torch.randn(4800).numpy(), 16000)
    command = ["enhance", "talk.wav", "--checkpoint", "a-vae-s1", "--overwrite"]
    assert main(command) == 0
    assert str(here) not in sys.path
    assert main([*command, "--noise", "trust_own.OwnNoise"]) == 0
