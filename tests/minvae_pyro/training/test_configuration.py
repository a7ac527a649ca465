import json

import pytest

from minvae_pyro.errors import UserError
from minvae_pyro.training.configuration import (
    CONFIGURATIONS,
    as_plain,
    changes,
    for_checkpoint,
    make_parser,
    read_configuration,
)

OURS = ["--config", "a-vae"]


def plain(*arguments):
    return as_plain(read_configuration([*OURS, *arguments]))


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_shipped_configurations_can_be_used(name, corpora, monkeypatch):
    # one clip of a second instead of a hundred of three
    small = {"utterances": "1", "seconds": "1.0"}
    folders = name != "demo"
    arguments = ["--config", name]
    for split in ("train", "validation"):
        if folders:
            arguments += [f"--data.{split}", json.dumps([str(corpora / split)])]
        else:
            arguments += [part for k, v in small.items() for part in (f"--data.{split}.init_args.{k}", v)]
    settings = read_configuration(arguments)
    made = make_parser().instantiate(settings)
    assert made.data.train.lengths
    assert made.data.batch_size == settings.data.batch_size
    assert list(made.prior.parameters())
    assert list(made.guide.parameters())


def test_configurations_of_the_issue_are_shipped():
    assert {"a-vae", "v-vae", "min-vae", "min-vae-published", "demo"} <= set(CONFIGURATIONS)


def test_command_line_wins_over_file():
    settings = read_configuration([*OURS, "--seed", "7", "--optimisation.lr", "0.5", "--data.batch_size=3"])
    assert (settings.seed, settings.optimisation.lr, settings.data.batch_size) == (7, 0.5, 3)
    assert settings.optimisation.one_cycle is True


def test_plain_form_is_json_with_all_defaults():
    whole = plain()
    assert json.loads(json.dumps(whole)) == whole
    assert whole["data"]["noise"] is None
    assert whole["prior"]["class_path"] == "AudioVAE"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "b-vae"], r"no configuration b-vae: .*a-vae"),
        (["--config=b-vae"], r"no configuration b-vae"),
        ([*OURS, "--epochs", "many"], "epochs"),
        ([*OURS, "--speed", "9"], "speed"),
        ([*OURS, "--device", "tpu"], "device"),
        ([*OURS, "--model.init_args.latent", "3"], "latent"),
        (["--epochs", "3"], "--guide is missing. Choose AudioGuide"),
    ],
)
def test_mistakes_are_told(arguments, message):
    with pytest.raises(UserError, match=message) as caught:
        read_configuration(arguments)
    assert "\n" not in str(caught.value)


def test_a_broken_file_is_told(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("model: [\n")
    with pytest.raises(UserError):
        read_configuration(["--config", str(path)])


def test_what_may_change_in_a_continued_run():
    before = plain()
    free = ["--output", "elsewhere", "--device", "cpu", "--resume", "never", "--data.workers", "3", "--patience", "1"]
    assert changes(before, plain(*free)) == []
    assert changes(before, plain("--seed", "1", "--data.batch_size", "5")) == ["data", "seed"]
    # one cycle is laid out for a number of epochs
    assert changes(before, plain("--epochs", "5")) == ["epochs"]
    plain_rate = ["--optimisation.one_cycle", "false"]
    assert changes(plain(*plain_rate), plain(*plain_rate, "--epochs", "5")) == []


def test_checkpoints_name_no_folder_of_the_machine():
    kept = for_checkpoint(
        plain("--data.train", '["/home/me/s1"]', "--initialise", '{"prior.decoder": "/home/me/runs/a/weights.st"}')
    )
    assert kept["data"]["train"] == ["s1"]
    assert kept["initialise"] == {"prior.decoder": "a/weights.st"}
    assert "/home" not in json.dumps(kept)
    assert "output" not in kept
    assert kept["optimisation"]["one_cycle"] is True


def test_credits_and_voices_of_a_configuration_are_those_of_its_own_data():
    def gate(*arguments):
        return as_plain(read_configuration(["--config", "min-vae-gate", *arguments]))

    own, other = gate(), gate("--data.train=[mine]", "--data.noise.talkers=1")
    assert "GRID" in own["credits"]
    assert "prepared/librispeech" in own["data"]["noise"]["init_args"]["voices"]
    assert other["credits"] == ""
    assert other["data"]["noise"]["init_args"] == own["data"]["noise"]["init_args"] | {"voices": [], "talkers": 1.0}
    typed = gate("--data.train=[mine]", "--credits", "Thanks to Ann.", "--data.noise.voices", "[others]")
    assert typed["credits"] == "Thanks to Ann."
    assert typed["data"]["noise"]["init_args"]["voices"] == ["others"]
    assert gate("--data.train=[mine]", "--data.noise=null")["data"]["noise"] is None
    # another validation takes nothing away from what was learnt from
    assert "GRID" in gate("--data.validation=[mine]")["credits"]
