import pyro
import pytest
import torch

from minvae_pyro.errors import UserError
from minvae_pyro.guides import AudioGuide, CleanAudioEncoder, MixtureGuide
from minvae_pyro.models import AudioVAE, ConditionalMinVAE
from minvae_pyro.nn.audio import plain_power
from minvae_pyro.nn.visual import MouthPerceptron
from minvae_pyro.probability.parameters import local_parameters
from minvae_pyro.registry.build import build, complete, submodule, tie, together
from minvae_pyro.utterances import Utterances

PLAIN = {"prior": {"class_path": "AudioVAE"}, "guide": {"class_path": "AudioGuide"}}
MIXTURE = {
    "prior": {
        "class_path": "ConditionalMinVAE",
        "init_args": {"network": {"class_path": "MouthPerceptron", "init_args": {"hidden": [8, 4]}}},
    },
    "guide": {
        "class_path": "MixtureGuide",
        "init_args": {
            "audio": {
                "class_path": "NoisyAudioEncoder",
                "init_args": {
                    "encoder": {
                        "class_path": "SpectrumEncoder",
                        "init_args": {"transform": "plain_power"},
                    }
                },
            },
            "visual": {"class_path": "CleanAudioEncoder"},
        },
    },
    "tie": {"guide.visual.encoder": "guide.audio.encoder"},
}


def test_short_names_nested_arguments_functions_and_the_model_for_the_guide():
    model, guide = build(MIXTURE)
    assert isinstance(model, ConditionalMinVAE)
    assert isinstance(guide, MixtureGuide)
    assert guide._prior[0] is model
    network = model.visual_component.network
    assert isinstance(network, MouthPerceptron)
    assert network.layers[0].out_features == 8
    assert guide.audio.encoder.transform is plain_power
    assert isinstance(guide.visual, CleanAudioEncoder)
    assert guide.visual.encoder is guide.audio.encoder


def test_a_guide_that_takes_no_model_gets_none():
    model, guide = build(PLAIN)
    assert type(model) is AudioVAE
    assert type(guide) is AudioGuide


def test_a_completed_description_has_every_default_and_stays_as_it_is():
    whole = complete(PLAIN)
    assert whole["prior"]["class_path"] == "AudioVAE"
    assert whole["prior"]["init_args"]["latent_dim"] == 32
    assert complete(whole) == whole
    assert complete(complete(MIXTURE)) == complete(MIXTURE)


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({**PLAIN, "prior": {"class_path": "NoSuchVAE"}}, "NoSuchVAE"),
        ({**PLAIN, "guide": {"class_path": "torch.nn.Linear"}}, "it does not derive from TrainingGuide"),
        ({**PLAIN, "prior": {"class_path": "AudioVAE", "init_args": {"latent": 3}}}, "latent"),
        ({**PLAIN, "prior": {"class_path": "AudioVAE", "init_args": {"latent_dim": "many"}}}, "latent_dim"),
        ({"prior": PLAIN["prior"]}, "guide"),
        ({**MIXTURE, "tie": {"guide.visual.eyes": "guide.audio.encoder"}}, "guide.visual has encoder"),
    ],
)
def test_mistakes_are_told_in_one_line(description, message):
    with pytest.raises(UserError, match=message) as caught:
        build(description)
    assert "\n" not in str(caught.value)


def test_tied_modules_share_their_weights():
    model, guide = build({**MIXTURE, "tie": {}})
    assert guide.visual.encoder is not guide.audio.encoder
    tie(model, guide, {"guide.visual.encoder": "guide.audio.encoder"})
    assert guide.visual.encoder is guide.audio.encoder


def test_submodules_are_found_by_path():
    model, guide = build(PLAIN)
    whole = together(model, guide)
    assert submodule(whole, "prior") is model
    assert submodule(whole, "guide.audio.encoder") is guide.audio.encoder
    with pytest.raises(UserError, match=r"no submodule 'prior\.encoder'; prior has decoder"):
        submodule(whole, "prior.encoder")


def test_parameters_stay_out_of_the_global_store():
    model, guide = build(PLAIN)  # made outside
    batch = Utterances.from_spectrum(torch.ones(3, 513))
    with local_parameters(model, guide):
        pyro.poutine.trace(guide).get_trace(batch)
        pyro.poutine.trace(model).get_trace(batch)
    assert len(pyro.get_param_store()) == 0
    assert not pyro.settings.get("module_local_params")
