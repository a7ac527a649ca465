"""Published weights against a forward pass written by hand, on look-alikes and on the files themselves."""

import json
import math
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from minvae_pyro import enhance, load_checkpoint, read_sound
from minvae_pyro.audio.stft import STFT
from minvae_pyro.checkpoints.importing import import_weights
from minvae_pyro.checkpoints.published import LEVEL
from minvae_pyro.cli.main import main
from minvae_pyro.evaluation.scores import si_sdr
from minvae_pyro.inference import StochasticVariational
from minvae_pyro.models.speech_prior import Latent
from minvae_pyro.nn.cached import Precomputed
from minvae_pyro.utterances import Utterances

CONFIGURATION = """# as published
[STFT]
wlen_sec = 4e-3
hop_percent = 0.25
fs = 16000
zp_percent = 0

[Network]
vae_mode = {mode}
x_dim = 33
z_dim = 3
activation = tanh
"""
X, Z, H, V = 33, 3, 7, 6

LAYERS = {
    "A-VAE": {"mlp_x_z.linear0": (H, X), "inf_mean": (Z, H), "inf_logvar": (Z, H), "mlp_z_x.linear0": (H, Z)},
    "AV-CVAE": {
        "encoder_layerV": (H, V),
        "layer_mix_encoder": (H, 2 * H),
        "prior_layerV": (H, V),
        "decoder_layerV": (H, V),
        "layer_mix_decoder": (H, 2 * H),
        "mlp_x_z.linear0": (H, X),
        "zprior_mean_layer": (Z, H),
        "zprior_logvar_layer": (Z, H),
        "inf_mean": (Z, H),
        "inf_logvar": (Z, H),
        "mlp_z_x.linear0": (H, Z),
    },
    "A-DKF": {
        "mlp_x_gx.linear0": (9, X),
        "mlp_ztm1_g.linear0": (4, Z),
        "mlp_ztm1_g.linear_last": (5, 4),
        "mlp_g_z.linear0": (6, 5),
        "inf_mean": (Z, 6),
        "inf_logvar": (Z, 6),
        "mlp_gate.linear1": (2, Z),
        "mlp_gate.linear2": (Z, 2),
        "mlp_z_prop.linear1": (2, Z),
        "mlp_z_prop.linear2": (Z, 2),
        "prior_mean": (Z, Z),
        "prior_logvar.1": (Z, Z),
        "mlp_z_x.linear0": (3, Z),
        "mlp_z_x.linear1": (4, 3),
        "mlp_z_x.linear2": (5, 4),
        "mlp_z_x.linear3": (H, 5),
    },
}
NAMES = {"A-VAE": "A-VAE", "AV-CVAE": "AV-VAE", "A-DKF": "A-DKF"}
every_model = pytest.mark.parametrize("mode", LAYERS)


def look_alike(mode: str) -> dict[str, Tensor]:
    torch.manual_seed(4)
    tensors = {}
    for name, shape in {**LAYERS[mode], "gen_logvar": (X, H)}.items():
        tensors[f"{name}.weight"] = torch.randn(shape)
        tensors[f"{name}.bias"] = torch.randn(shape[0])
    if mode == "A-DKF":
        for kind, shape in {"weight_ih": (20, 9), "weight_hh": (20, 5), "bias_ih": (20,), "bias_hh": (20,)}.items():
            tensors[f"rnn_gx.{kind}_l0"] = torch.randn(shape)
    return tensors


Write = Callable[..., Path]


@pytest.fixture
def published(tmp_path: Path) -> Write:
    """Write a look-alike; anything may be put in the place of its tensors or of a part of its configuration."""

    def write(mode: str, tensors: Any = None, **changes: str) -> Path:
        folder = tmp_path / mode
        folder.mkdir(exist_ok=True)
        torch.save(look_alike(mode) if tensors is None else tensors, folder / f"{mode}.pt")
        text = CONFIGURATION.format(mode=mode)
        for old, new in changes.items():
            lines = [f"{old} = {new}" if line.startswith(f"{old} = ") else line for line in text.splitlines()]
            text = "\n".join(lines)
        (folder / "config.ini").write_text(text)
        return folder

    return write


class Published:
    """The published networks written by hand, on power at the level at which they were trained."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self.tensors = {name: value.double() for name, value in tensors.items()}

    def __call__(self, layer: str, x: Tensor) -> Tensor:
        return x @ self.tensors[f"{layer}.weight"].mT + self.tensors[f"{layer}.bias"]

    def mixed(self, layer: str, one: Tensor, other: Tensor) -> Tensor:
        return torch.tanh(self(layer, torch.cat([one, other], -1)))

    def encode(self, power: Tensor, sight: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and variance of q(z), (N, L), along the mean path for the model with dynamics."""
        if "rnn_gx.weight_ih_l0" in self.tensors:
            return self._filter(power)
        hidden = torch.tanh(self("mlp_x_z.linear0", power))
        if sight is not None:
            hidden = self.mixed("layer_mix_encoder", hidden, torch.tanh(self("encoder_layerV", sight)))
        return self("inf_mean", hidden), self("inf_logvar", hidden).exp()

    def _filter(self, power: Tensor) -> tuple[Tensor, Tensor]:
        w = {name.removeprefix("rnn_gx."): value for name, value in self.tensors.items() if "rnn_gx" in name}
        frames = torch.tanh(self("mlp_x_gx.linear0", power))
        state = cell = frames.new_zeros(w["weight_hh_l0"].shape[1])
        ahead = []
        for frame in frames.flip(0):
            gates = w["weight_ih_l0"] @ frame + w["bias_ih_l0"] + w["weight_hh_l0"] @ state + w["bias_hh_l0"]
            enter, forget, new, leave = gates.chunk(4)
            cell = forget.sigmoid() * cell + enter.sigmoid() * new.tanh()
            state = leave.sigmoid() * cell.tanh()
            ahead.insert(0, state)
        z = frames.new_zeros(self.tensors["inf_mean.bias"].shape)
        means, variances = [], []
        for coming in ahead:
            past = torch.tanh(self("mlp_ztm1_g.linear_last", torch.tanh(self("mlp_ztm1_g.linear0", z))))
            hidden = torch.tanh(self("mlp_g_z.linear0", (past + coming) / 2))
            z = self("inf_mean", hidden)
            means.append(z)
            variances.append(self("inf_logvar", hidden).exp())
        return torch.stack(means), torch.stack(variances)

    def step(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of z after this one."""
        gate = self("mlp_gate.linear2", self("mlp_gate.linear1", z).relu()).sigmoid()
        proposal = self("mlp_z_prop.linear2", self("mlp_z_prop.linear1", z).relu()).sigmoid()
        variance = (1 + self("prior_logvar.1", proposal.relu()).exp()).log()
        return (1 - gate) * self("prior_mean", z) + gate * proposal, variance

    def decode(self, z: Tensor, sight: Tensor | None = None) -> Tensor:
        """Variance of speech, (N, F)."""
        layers = sorted(name for name in self.tensors if name.startswith("mlp_z_x") and name.endswith("weight"))
        for layer in layers:
            z = torch.tanh(self(layer.removesuffix(".weight"), z))
        if sight is not None:
            z = self.mixed("layer_mix_decoder", z, torch.tanh(self("decoder_layerV", sight)))
        return self("gen_logvar", z).exp()


def check(tensors: dict[str, Tensor], checkpoint: Path, power: Tensor, rtol: float) -> None:
    """Encoder, prior and decoder of a checkpoint on power at unit level are the published ones at theirs."""
    loaded: Any = load_checkpoint(checkpoint)
    by_hand = Published(tensors)
    utterances = Utterances.from_spectrum(power.float(), torch.rand(len(power), 67, 67))
    sees = "encoder_layerV.weight" in tensors
    sight = power.new_zeros(len(power), tensors["encoder_layerV.weight"].shape[1]) if sees else None
    mean, variance = by_hand.encode(power * LEVEL**2, sight)
    with torch.no_grad():
        found_mean, found_scale = loaded.guide.encode_audio(utterances)
        decoded = loaded.prior.speech_variance(Latent(mean.float()[None]), utterances)[0]
    torch.testing.assert_close(found_mean[0].double(), mean, rtol=rtol, atol=10 * rtol)
    torch.testing.assert_close(found_scale[0].square().double(), variance, rtol=10 * rtol, atol=rtol)
    torch.testing.assert_close(decoded.double(), by_hand.decode(mean, sight) / LEVEL**2, rtol=10 * rtol, atol=0)
    if "prior_mean.weight" in tensors:
        with torch.no_grad():
            next_mean, next_scale = loaded.prior.transition(mean.float())
        torch.testing.assert_close(next_mean.double(), by_hand.step(mean)[0], rtol=rtol, atol=rtol)
        torch.testing.assert_close(next_scale.square().double(), by_hand.step(mean)[1], rtol=10 * rtol, atol=1e-5)


@every_model
@pytest.mark.parametrize("frames", [1, 6])
def test_a_look_alike_computes_what_the_published_networks_do(
    published: Write, tmp_path: Path, mode: str, frames: int
) -> None:
    found = import_weights(published(mode), tmp_path / "out.safetensors")
    assert found.model == mode
    power = 100 * torch.rand(frames, X, dtype=torch.float64) ** 2
    check(look_alike(mode), found.path, power, 1e-5)


@every_model
def test_the_checkpoint_says_where_it_comes_from(published: Write, tmp_path: Path, mode: str) -> None:
    checkpoint = load_checkpoint(import_weights(published(mode), tmp_path / "out.safetensors").path)
    assert (checkpoint.stft.n_fft, checkpoint.stft.hop, checkpoint.stft.sample_rate) == (64, 16, 16000)
    assert checkpoint.prior.latent_dim == Z
    assert "Copyright (c) 2020 INRIA" in checkpoint.metadata["credits"]
    assert "shall be included in all copies" in checkpoint.metadata["credits"]
    assert checkpoint.metadata["training"]["imported"] == mode
    assert checkpoint.metadata["training"]["configuration"]["Network"]["z_dim"] == "3"
    assert ("lip-reading network" in checkpoint.metadata["credits"]) == (mode == "AV-CVAE")


def test_the_file_is_as_good_as_its_folder(published: Write, tmp_path: Path) -> None:
    folder = published("A-VAE")
    paths = [
        import_weights(path, tmp_path / f"{n}.safetensors").path for n, path in enumerate([folder, folder / "A-VAE.pt"])
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_without_its_eyes_the_audio_visual_model_hears(published: Write, tmp_path: Path) -> None:
    prior: Any = load_checkpoint(import_weights(published("AV-CVAE"), tmp_path / "out.safetensors").path).prior
    spectrum = torch.rand(4, X)
    seen, unseen = Utterances.from_spectrum(spectrum, torch.rand(4, 67, 67)), Utterances.from_spectrum(spectrum)
    for utterances in (seen, unseen):
        prediction = prior.z_prior(utterances).base_dist
        assert (prediction.loc == 0).all()
        assert (prediction.scale == 1).all()
    z = torch.randn(1, 4, Z)
    assert torch.equal(prior.speech_variance(Latent(z), seen), prior.speech_variance(Latent(z), unseen))


def test_features_made_elsewhere_can_take_the_place_of_its_eyes(published: Write, tmp_path: Path) -> None:
    prior: Any = load_checkpoint(import_weights(published("AV-CVAE"), tmp_path / "out.safetensors").path).prior
    by_hand = Published(look_alike("AV-CVAE"))
    features, z = torch.randn(1, 4, V), torch.randn(1, 4, Z)
    prior.visual_features = prior.visual_component.visual_features = Precomputed(features)
    utterances = Utterances.from_spectrum(torch.rand(4, X))
    with torch.no_grad():
        prediction = prior.z_prior(utterances).base_dist
        variance = prior.speech_variance(Latent(z), utterances)
    hidden = torch.tanh(by_hand("prior_layerV", features.double()))
    torch.testing.assert_close(prediction.loc.double(), by_hand("zprior_mean_layer", hidden), rtol=1e-5, atol=1e-5)
    expected = (by_hand("zprior_logvar_layer", hidden) / 2).exp()
    torch.testing.assert_close(prediction.scale.double(), expected, rtol=1e-4, atol=1e-5)
    expected = by_hand.decode(z.double(), features.double()) / LEVEL**2
    torch.testing.assert_close(variance.double(), expected, rtol=1e-4, atol=0)


class Bomb:
    """Runs code when it is unpickled by somebody who is careless."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


def without(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key: value for key, value in tensors.items() if key != name}


CHANGES: dict[str, tuple[Any, str]] = {
    "code": (lambda t: {**t, "bomb": Bomb(Path("boom"))}, "nothing of it was run"),
    "a list": (lambda t: list(t.values()), "no plain table of tensors"),
    "a number": (lambda t: {**t, "epoch": 3}, "no plain table of tensors"),
    "other precision": (lambda t: {k: v.double() for k, v in t.items()}, "no plain table of tensors"),
    "not a number": (lambda t: {**t, "inf_mean.bias": t["inf_mean.bias"] * math.nan}, "not finite"),
    "one less": (lambda t: without(t, "inf_mean.bias"), "it lacks inf_mean.bias"),
    "one more": (lambda t: {**t, "more.bias": t["inf_mean.bias"]}, "it has besides more.bias"),
    "another shape": (lambda t: {**t, "inf_logvar.weight": torch.zeros(Z, H + 1)}, "inf_logvar.weight of shape (3, 8)"),
    "another size": (lambda t: {**t, "inf_mean.bias": torch.zeros(Z + 1)}, "config.ini says (33, 3)"),
}


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What the command says of a mistake: one line and exit code 2."""
    assert main(["import", *arguments]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    assert output.err.startswith("minvae import: ")
    return output.err


@pytest.mark.parametrize("name", CHANGES)
def test_weights_that_are_something_else_are_refused(
    published: Write, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    change, message = CHANGES[name]
    folder = published("A-VAE", change(look_alike("A-VAE")))
    output = tmp_path / "out.safetensors"
    assert message in refused([str(folder), "--output", str(output)], capsys)
    assert not output.exists()
    assert not Path("boom").exists()


def test_the_bomb_would_have_gone_off(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Bomb(tmp_path / "boom")))
    assert (tmp_path / "boom").is_dir()


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04 half of an archive", b"\x80\x02}q\x00."])
def test_files_that_hold_no_tensors_are_refused(published: Write, tmp_path: Path, capsys: Any, content: bytes) -> None:
    folder = published("A-VAE")
    (folder / "A-VAE.pt").write_bytes(content)
    assert "A-VAE.pt is" in refused([str(folder), "--output", str(tmp_path / "out.safetensors")], capsys)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vae_mode": "AV-DKF"}, "names the model 'AV-DKF': there are A-VAE, AV-CVAE, A-DKF"),
        ({"vae_mode": "A-DKF"}, "is no A-DKF: it lacks"),
        ({"activation": "relu"}, "the activation 'relu', not tanh"),
        ({"z_dim": "4"}, "config.ini says (33, 4)"),
        ({"x_dim": "many"}, "does not tell the STFT"),
        ({"hop_percent": "0.9"}, "does not tell the STFT"),
        ({"wlen_sec": "8e-3"}, "has not 33 frequencies"),
        ({"zp_percent": "1"}, "padded"),
    ],
)
def test_configurations_that_do_not_fit_are_refused(
    published: Write, tmp_path: Path, capsys: Any, changes: dict[str, str], message: str
) -> None:
    folder = published("A-VAE", **changes)
    assert message in refused([str(folder), "--output", str(tmp_path / "out.safetensors")], capsys)


def test_what_is_missing_or_in_the_way_is_told(published: Write, tmp_path: Path, capsys: Any) -> None:
    folder, output = published("A-VAE"), tmp_path / "out.safetensors"
    to = ["--output", str(output)]
    assert "there is no file or folder" in refused([str(tmp_path / "nowhere"), *to], capsys)
    assert "there is no format 'dvae': choose av-dkf" in refused([str(folder), "--format", "dvae", *to], capsys)
    assert "must end in .safetensors" in refused([str(folder), "--output", str(tmp_path / "out.pt")], capsys)
    assert "make it first" in refused([str(folder), "--output", str(tmp_path / "no" / "out.safetensors")], capsys)
    torch.save({}, folder / "second.pt")
    assert "holds 2 files *.pt" in refused([str(folder), *to], capsys)
    (folder / "config.ini").write_text("[STFT")
    assert "config.ini cannot be read" in refused([str(folder / "A-VAE.pt"), *to], capsys)
    (folder / "config.ini").unlink()
    assert "must lie beside the weights" in refused([str(folder / "A-VAE.pt"), *to], capsys)
    output.write_text("mine")
    assert "exists and is kept" in refused([str(folder), *to], capsys)
    assert output.read_text() == "mine"


@every_model
def test_what_was_imported_enhances(published: Write, tmp_path: Path, capsys: Any, mode: str) -> None:
    output, noisy = tmp_path / "out.safetensors", tmp_path / "noisy.wav"
    output.write_text("old")
    assert main(["import", str(published(mode)), "--output", str(output), "--overwrite"]) == 0
    told = capsys.readouterr()
    assert f"{mode} as" in told.out
    assert ("note: " in told.err) == (mode == "AV-CVAE")
    soundfile.write(noisy, np.random.default_rng(0).standard_normal(1600) / 10, 16000)
    assert main(["enhance", str(noisy), "--checkpoint", str(output), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["mean_audio_responsibility"] is None
    clean, _ = soundfile.read(summary["output"])
    assert clean.shape == (1600,)
    assert np.isfinite(clean).all()


@every_model
def test_the_published_files_compute_what_they_did(real_data: Path, tmp_path: Path, mode: str) -> None:
    folder = real_data / "published_checkpoints" / NAMES[mode]
    found = import_weights(folder, tmp_path / "out.safetensors")
    tensors = torch.load(folder / f"{NAMES[mode]}.pt", weights_only=True, map_location="cpu")
    waveform = read_sound(real_data / "tcd_timit" / "demo" / "clean.wav").mono().double()
    stft = STFT(1024, 256)
    power = stft(waveform / waveform.square().mean().sqrt()).abs().square()
    check(tensors, found.path, power.float().double(), 1e-3)
    assert load_checkpoint(found.path).stft.extra_repr() == stft.extra_repr()


@pytest.mark.parametrize(("mode", "least"), [("A-VAE", 7.0), ("A-DKF", 7.0)])
def test_the_published_demo_becomes_clean(real_data: Path, tmp_path: Path, mode: str, least: float) -> None:
    found = import_weights(real_data / "published_checkpoints" / NAMES[mode], tmp_path / "out.safetensors")
    demo = real_data / "tcd_timit" / "demo"
    clean = read_sound(demo / "clean.wav").mono()
    result = enhance(demo / "noisy.wav", checkpoint=found.path, engine=StochasticVariational(iterations=30))
    assert float(si_sdr(clean, result.speech[0])) > least
