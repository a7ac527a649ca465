"""Checkpoints of format 2, as the version before wrote them, become checkpoints of this format, bit by bit."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from minvae_pyro.audio.stft import STFT
from minvae_pyro.checkpoints.checkpoint import describe, load_checkpoint, read, save_checkpoint
from minvae_pyro.checkpoints.conversion import convert
from minvae_pyro.cli.main import main
from minvae_pyro.errors import UserError
from minvae_pyro.registry.build import build

NOW: dict[str, Any] = {
    "prior": {
        "class_path": "DeepKalmanFilter",
        "init_args": {
            "latent_dim": 4,
            "transition": {
                "class_path": "GatedTransition",
                "init_args": {
                    "latent_dim": 4,
                    "hidden": 3,
                    "fusion": {"class_path": "Fusion", "init_args": {"size": 4, "feature_dim": 5}},
                },
            },
            "visual_features": {
                "class_path": "MouthFeatures",
                "init_args": {
                    "network": {"class_path": "MouthPerceptron", "init_args": {"hidden": [3, 2], "latent_dim": 5}}
                },
            },
        },
    },
    "guide": {
        "class_path": "RecurrentGuide",
        "init_args": {
            "encoder": {
                "class_path": "RecurrentEncoder",
                "init_args": {
                    "hidden": 6,
                    "units": 2,
                    "latent_dim": 4,
                    "transform": "plain_power",
                    "fusion": {"class_path": "Fusion", "init_args": {"size": 6, "feature_dim": 5}},
                },
            }
        },
    },
    "tie": {},
}
BEFORE: dict[str, Any] = {
    "prior": {
        "class_path": "minvae_pyro.models.DeepKalmanFilter",
        "init_args": {
            "latent_dim": 4,
            "transition": {
                "class_path": "minvae_pyro.dynamic_networks.GatedTransition",
                "init_args": {
                    "latent_dim": 4,
                    "hidden": 3,
                    "squash": None,
                    "fusion": {
                        "class_path": "minvae_pyro.dynamic_networks.Fusion",
                        "init_args": {"size": 4, "sight_dim": 5, "output": None},
                    },
                },
            },
            "decoder": None,
            "sight": {
                "class_path": "minvae_pyro.models.Sight",
                "init_args": {
                    "network": {
                        "class_path": "minvae_pyro.networks.MouthPerceptron",
                        "init_args": {"hidden": [3, 2], "latent_dim": 5},
                    }
                },
            },
        },
    },
    "guide": {
        "class_path": "minvae_pyro.guides.RecurrentGuide",
        "init_args": {
            "encoder": {
                "class_path": "minvae_pyro.dynamic_networks.RecurrentEncoder",
                "init_args": {
                    "frequencies": 513,
                    "hidden": 6,
                    "units": 2,
                    "latent_dim": 4,
                    "transform": "minvae_pyro.networks.plain_power",
                    "fusion": {
                        "class_path": "minvae_pyro.dynamic_networks.Fusion",
                        "init_args": {"size": 6, "sight_dim": 5, "output": None},
                    },
                },
            }
        },
    },
    "tie": {},
    "training": {"data": {"noise": {"class_path": "minvae_pyro.training.RealisticNoise", "init_args": {"share": 1.0}}}},
    "enhancement": {"start": "audio", "noise": {"class_path": "minvae_pyro.models.NMFNoise", "init_args": {"rank": 4}}},
}


def renamed(name: str) -> str:
    return name.replace("fusion.visual.", "fusion.sight.").replace("visual_features.", "sight.")


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return save_checkpoint(tmp_path / "new.safetensors", *build(NOW), NOW, STFT(), half=True)


@pytest.fixture
def old(new: Path, tmp_path: Path) -> Path:
    """The same checkpoint as the version before would have written it."""
    return write(tmp_path / "old.safetensors", {renamed(k): v for k, v in load_file(new).items()}, BEFORE)


def write(path: Path, tensors: dict[str, Tensor], described: dict[str, Any]) -> Path:
    metadata = {"format": 2, "version": "0.1.0", "stft": {"n_fft": 1024, "hop": 533, "sample_rate": 16000}}
    metadata |= {"training": {}, "enhancement": {}, "credits": "who", **described}
    save_file(tensors, path, metadata={"minvae_pyro": json.dumps(metadata)})
    return path


def test_names_change_and_weights_do_not(old: Path, new: Path, tmp_path: Path) -> None:
    tensors, found = read(convert(old, tmp_path / "converted.safetensors"))
    expected = load_file(new)
    assert tensors.keys() == expected.keys()
    assert any(".fusion.visual." in name for name in tensors)
    assert any(".visual_features." in name for name in tensors)
    for name, value in expected.items():
        assert tensors[name].dtype == value.dtype
        assert torch.equal(tensors[name], value)
    written = describe(new)
    assert (found["format"], found["prior"], found["guide"]) == (3, written["prior"], written["guide"])
    assert found["training"]["data"]["noise"] == {"class_path": "RealisticNoise", "init_args": {"share": 1.0}}
    assert found["enhancement"]["noise"] == {"class_path": "NMFNoise", "init_args": {"rank": 4}}
    assert found["credits"] == "who"


def test_priors_of_alpha_and_posteriors_have_their_new_names(tmp_path: Path) -> None:
    now = {
        "prior": {"class_path": "MinVAE", "init_args": {"alpha_prior": "LearntMarkovAlphaPrior"}},
        "guide": {
            "class_path": "MixtureGuide",
            "init_args": {
                "audio": "NoisyAudioEncoder",
                "visual": {"class_path": "MouthEncoder", "init_args": {"network": "MouthPerceptron"}},
            },
        },
        "tie": {"guide.visual.network.head": "guide.visual.network.head"},
    }
    prior, guide = build(now)
    new = save_checkpoint(tmp_path / "new.safetensors", prior, guide, now, STFT(), half=True)
    before = {
        "prior": {
            "class_path": "minvae_pyro.models.MinVAE",
            "init_args": {"mixing": {"class_path": "minvae_pyro.models.LearntSwitching"}},
        },
        "guide": {
            "class_path": "minvae_pyro.guides.MixtureGuide",
            "init_args": {
                "audio": {"class_path": "minvae_pyro.guides.HeardPosterior"},
                "visual": {
                    "class_path": "minvae_pyro.guides.SeenPosterior",
                    "init_args": {"network": {"class_path": "minvae_pyro.networks.MouthPerceptron"}},
                },
            },
        },
        "tie": now["tie"],
    }
    tensors = {name.replace(".alpha_prior.", ".mixing."): value for name, value in load_file(new).items()}
    old = write(tmp_path / "old.safetensors", tensors, before)
    converted = convert(old, tmp_path / "converted.safetensors")
    assert load_file(converted).keys() == load_file(new).keys()
    assert describe(converted)["prior"] == describe(new)["prior"]
    assert describe(converted)["guide"] == describe(new)["guide"]
    assert type(load_checkpoint(converted).prior).__name__ == "MinVAE"


def test_a_file_may_be_converted_in_its_place(old: Path) -> None:
    before = load_file(old)
    before = {name: value.clone() for name, value in before.items()}
    with pytest.raises(UserError, match="exists"):
        convert(old, old)
    after = load_file(convert(old, old, overwrite=True))
    assert {renamed(name) for name in after} == before.keys()
    assert all(torch.equal(value, before[renamed(name)]) for name, value in after.items())


def test_the_old_format_is_refused_with_the_command_that_converts_it(
    old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match=r"--format minvae_pyro-2 --output NEW\.safetensors") as refused:
        load_checkpoint(old)
    assert "\n" not in str(refused.value)
    converted = tmp_path / "converted.safetensors"
    command = str(refused.value).split("`")[1].replace("NEW.safetensors", str(converted)).split()
    assert main(command[1:]) == 0
    assert "DeepKalmanFilter" in capsys.readouterr().out
    assert load_checkpoint(converted).metadata["format"] == 3


def test_a_class_of_ones_own_keeps_its_import_path(new: Path, tmp_path: Path) -> None:
    described = {**BEFORE, "prior": {"class_path": "own_gone.Prior", "init_args": {"mixing": 1}}}
    old = write(tmp_path / "own.safetensors", load_file(new), described)
    with pytest.raises(UserError, match=r"the file names 'own_gone\.Prior'.* --trust own_gone"):
        convert(old, tmp_path / "converted.safetensors")
    with pytest.raises(UserError, match=r"there is no prior 'own_gone\.Prior'"):
        convert(old, tmp_path / "converted.safetensors", trust=["own_gone"])
    assert not (tmp_path / "converted.safetensors").exists()


@pytest.mark.parametrize("problem", ["new", "lacking", "song"])
def test_what_cannot_be_converted_is_refused(problem: str, old: Path, new: Path, tmp_path: Path) -> None:
    path = {"new": new, "song": tmp_path / "song.safetensors", "lacking": tmp_path / "lacking.safetensors"}[problem]
    if problem == "song":
        path.write_bytes(b"RIFF....WAVE" * 100)
    if problem == "lacking":
        tensors = load_file(old)
        tensors.pop("prior.transition.fusion.sight.weight")
        write(path, tensors, BEFORE)
    told = {"new": "only format 2", "song": "no safetensors file", "lacking": "lacks weights"}[problem]
    with pytest.raises(UserError, match=told):
        convert(path, tmp_path / "converted.safetensors")
    assert not (tmp_path / "converted.safetensors").exists()
