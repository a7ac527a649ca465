import json
from importlib import resources

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from minvae_pyro.audio.stft import STFT
from minvae_pyro.checkpoints.checkpoint import FORMAT, describe, load_checkpoint, save_checkpoint, shipped
from minvae_pyro.errors import UserError
from minvae_pyro.models.speech_prior import Latent
from minvae_pyro.probability.parameters import local_parameters
from minvae_pyro.registry.build import build, together
from minvae_pyro.utterances import Utterances

DESCRIPTION = {
    "prior": {"class_path": "ConditionalMinVAE"},
    "guide": {
        "class_path": "MixtureGuide",
        "init_args": {
            "visual": {"class_path": "CleanAudioEncoder"},
            "responsibility": {"class_path": "FixedResponsibility", "init_args": {"weight": 0.25}},
        },
    },
    "tie": {"guide.visual.encoder": "guide.audio.encoder"},
}


@pytest.fixture
def made():
    """A model with batch statistics that are not those of a fresh one."""
    model, guide = build(DESCRIPTION)
    batch = Utterances.from_spectrum(torch.rand(4, 20, 513), torch.rand(4, 20, 67, 67))
    model.visual_component(batch)
    return model.eval(), guide.eval()


@pytest.fixture
def saved(made, tmp_path):
    return save_checkpoint(
        tmp_path / "some.safetensors",
        *made,
        DESCRIPTION,
        STFT(hop=300),
        enhancement={"rank": 8, "start": "both"},
        training={"epochs": 3},
        credits="who",
    )


def rewrite(path, tensors=None, **metadata):
    """The same file with some tensors or metadata replaced."""
    with safe_open(path, framework="pt") as file:
        before = json.loads(file.metadata()["minvae_pyro"])
    text = json.dumps({**before, **metadata})
    save_file(load_file(path) if tensors is None else tensors, path, metadata={"minvae_pyro": text})


def test_outputs_are_the_same_to_the_bit(made, saved):
    model, guide = made
    loaded = load_checkpoint(saved)
    batch = Utterances.from_spectrum(torch.rand(2, 15, 513), torch.rand(2, 15, 67, 67))
    z = torch.randn(2, 15, 32)
    with torch.no_grad(), local_parameters(model, guide, loaded.prior, loaded.guide):
        assert torch.equal(loaded.prior.speech_variance(Latent(z), batch), model.speech_variance(Latent(z), batch))
        for mine, other in zip(loaded.guide.posteriors(batch), guide.posteriors(batch), strict=True):
            assert torch.equal(mine, other)
        for mine, other in zip(loaded.prior.visual_component(batch), model.visual_component(batch), strict=True):
            assert torch.equal(mine, other)
    assert loaded.guide.responsibility.weight == 0.25
    assert loaded.guide.visual.encoder is loaded.guide.audio.encoder
    assert not loaded.prior.training
    assert not loaded.guide.training


def test_everything_else_comes_back(saved):
    loaded = load_checkpoint(str(saved))
    assert (loaded.stft.n_fft, loaded.stft.hop, loaded.stft.sample_rate) == (1024, 300, 16000)
    assert loaded.enhancement == {"rank": 8, "start": "both"}
    assert loaded.metadata["training"] == {"epochs": 3}
    assert loaded.metadata["credits"] == "who"


def test_a_loaded_checkpoint_saved_again_is_the_same_file(saved, tmp_path):
    loaded = load_checkpoint(saved)
    info = loaded.metadata
    again = save_checkpoint(
        tmp_path / "again.safetensors",
        loaded.prior,
        loaded.guide,
        info,
        loaded.stft,
        enhancement=info["enhancement"],
        training=info["training"],
        credits=info["credits"],
    )
    assert again.read_bytes() == saved.read_bytes()


def test_shared_weights_are_stored_once(made, saved):
    names = load_file(saved).keys()
    assert "guide.audio.encoder.hidden.weight" in names
    assert "guide.visual.encoder.hidden.weight" not in names
    # every other name of both modules is there
    assert len(names) == len({v.data_ptr() for v in together(*made).state_dict().values()})


def test_half_precision_halves_the_file_and_rounds_the_weights(made, saved, tmp_path):
    small = save_checkpoint(tmp_path / "half.safetensors", *made, DESCRIPTION, STFT(), half=True)
    assert small.stat().st_size < 0.52 * saved.stat().st_size
    mine, full = load_checkpoint(small).prior, made[0]
    weight = full.decoder.hidden.weight
    assert mine.decoder.hidden.weight.dtype == torch.float32
    assert torch.equal(mine.decoder.hidden.weight, weight.half().float())


def test_weights_beyond_half_precision_are_refused(made, tmp_path):
    model, guide = made
    with torch.no_grad():
        model.decoder.hidden.bias[0] = 1e6
    with pytest.raises(ValueError, match=r"prior\.decoder\.hidden\.bias"):
        save_checkpoint(tmp_path / "half.safetensors", model, guide, DESCRIPTION, STFT(), half=True)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_exists_is_kept(made, saved):
    before = saved.read_bytes()
    with pytest.raises(UserError, match="exists"):
        save_checkpoint(saved, *made, DESCRIPTION, STFT())
    assert saved.read_bytes() == before


def test_names_of_shipped_checkpoints(saved, tmp_path, monkeypatch):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "best.safetensors").write_bytes(saved.read_bytes())
    monkeypatch.setattr(resources, "files", lambda package: tmp_path)
    assert shipped() == ["best"]
    assert load_checkpoint("best").stft.hop == 300
    with pytest.raises(UserError, match=r"no checkpoint worst: .*\(best\)"):
        load_checkpoint("worst")


def test_a_missing_file_is_told_with_the_names_there_are(tmp_path):
    with pytest.raises(UserError, match=r"there is no checkpoint .*nowhere"):
        load_checkpoint(tmp_path / "nowhere.safetensors")


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "song.safetensors"
    path.write_bytes(b"RIFF....WAVE" * 100)
    with pytest.raises(UserError, match="no safetensors file"):
        load_checkpoint(path)
    save_file({"weight": torch.ones(2)}, path)
    with pytest.raises(UserError, match="no checkpoint of minvae_pyro"):
        load_checkpoint(path)


def test_a_truncated_file_is_refused(saved):
    saved.write_bytes(saved.read_bytes()[:-1000])
    with pytest.raises(UserError, match="damaged"):
        load_checkpoint(saved)


def test_another_format_is_refused(saved):
    rewrite(saved, format=99, version="9.9.9")
    with pytest.raises(UserError, match=r"format 99 \(minvae_pyro 9\.9\.9\)"):
        load_checkpoint(saved)


def test_a_description_that_cannot_be_read_is_refused(saved):
    save_file(load_file(saved), saved, metadata={"minvae_pyro": "{"})
    with pytest.raises(UserError, match="description cannot be read"):
        load_checkpoint(saved)


def test_a_class_that_is_gone_is_told(saved):
    rewrite(saved, prior={"class_path": "minvae_pyro.models.GoneVAE"})
    with pytest.raises(UserError, match=r"some\.safetensors cannot be used .*GoneVAE"):
        load_checkpoint(saved)


@pytest.mark.parametrize(
    "described",
    [
        {"prior": {"class_path": "os.system", "init_args": {"command": "touch ran"}}},
        {"guide": {"class_path": "subprocess.Popen", "init_args": {"args": ["touch", "ran"]}}},
        {
            "guide": {
                "class_path": "AudioGuide",
                "init_args": {
                    "audio": {
                        "class_path": "NoisyAudioEncoder",
                        "init_args": {
                            "encoder": {"class_path": "SpectrumEncoder", "init_args": {"transform": "os.system"}}
                        },
                    }
                },
            }
        },
        {"prior": {"class_path": "AudioVAE", "init_args": {"decoder": {"class_path": "os.system"}}}},
        {"prior": {"class_path": "AudioVAE", "init_args": {"decoder": "torch.hub.load"}}},
    ],
)
def test_nothing_is_run_that_derives_from_no_base_class(saved, described, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rewrite(saved, **described)
    with pytest.raises(UserError, match="cannot be used with") as refused:
        load_checkpoint(saved)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "ran").exists()


def test_classes_of_the_package_are_kept_by_their_short_names(saved):
    assert "minvae_pyro." not in json.dumps(load_checkpoint(saved).metadata)


def test_the_files_that_ship_have_this_format():
    for name in shipped():
        described = describe(name)
        assert described["format"] == FORMAT
        assert "minvae_pyro." not in json.dumps(described)


@pytest.mark.parametrize("problem", ["lacks", "has unknown", "has other shapes of"])
def test_weights_that_do_not_fit_are_told(saved, problem):
    tensors = load_file(saved)
    name = "prior.decoder.hidden.weight"
    match problem:
        case "lacks":
            del tensors[name]
        case "has unknown":
            tensors["prior.decoder.third.weight"] = torch.ones(2)
        case _:
            tensors[name] = tensors[name][:, :-1].contiguous()
    rewrite(saved, tensors)
    with pytest.raises(UserError, match=rf"{problem} weights \(prior\.decoder"):
        load_checkpoint(saved)


def test_a_device_that_is_not_there_is_told():
    checkpoint = load_checkpoint("a-vae")
    assert checkpoint.to("cpu") is checkpoint
    with pytest.raises(UserError, match="cannot compute on abacus"):
        checkpoint.to("abacus")
