import csv
import json

import pytest
import torch
from safetensors.torch import load_file

from minvae_pyro.checkpoints.checkpoint import load_checkpoint
from minvae_pyro.errors import UserError
from minvae_pyro.guides import TableResponsibility
from minvae_pyro.training.plan import TrainingPlan, resize_table
from minvae_pyro.training.run import train

MIXTURE = """
prior: {class_path: MinVAE, init_args: {alpha_prior: FixedAlphaPrior}}
guide:
  class_path: MixtureGuide
  init_args:
    visual: {class_path: MouthEncoder, init_args: {network: MouthPerceptron}}
    responsibility: {class_path: TableResponsibility, init_args: {utterances: 1, frames: 1}}
"""


@pytest.fixture
def run(corpora, tmp_path):
    """Calls `train` on the small corpora; ``name`` is the folder, other arguments are options."""

    def call(name="run", config="a-vae", **options):
        options = {
            "epochs": 2,
            "patience": 0,
            "device": "cpu",
            "optimisation.one_cycle": False,
            "data.train": json.dumps([str(corpora / "train")]),
            "data.validation": json.dumps([str(corpora / "validation")]),
            "data.crop_frames": 5,
            "data.batch_size": 4,
            **options,
        }
        arguments = ["--config", config, "--output", str(tmp_path / name)]
        return train([*arguments, *(f"--{key}={value}" for key, value in options.items())])

    return call


def losses(folder):
    """Validation loss of every epoch, over the parts of an interrupted run."""
    files = sorted(folder.glob("csv/*/metrics.csv"))
    rows = [row for path in files for row in csv.DictReader(path.read_text().splitlines())]
    return [float(row["validation/loss"]) for row in rows if row["validation/loss"]]


def test_a_run_leaves_weights_logs_and_its_configuration(run, tmp_path):
    weights = run()
    folder = tmp_path / "run"
    assert weights == folder / "weights.safetensors"
    assert (folder / "training.png").is_file()
    checkpoint = load_checkpoint(weights)
    assert checkpoint.stft.hop == 533
    assert checkpoint.metadata["training"]["epochs"] == 2
    # it has learnt from other data than those of the configuration
    assert not checkpoint.metadata["credits"]
    assert len(losses(folder)) == 2
    assert list(folder.glob("tensorboard/events*"))
    assert json.loads((folder / "config.json").read_text())["epochs"] == 2
    assert str(tmp_path) not in json.dumps(checkpoint.metadata)


def test_credits_of_what_it_starts_from_are_its_own(run):
    first = run("first", epochs=1, credits="Thanks to Ann.")
    start = json.dumps({"prior.decoder": str(first), "guide": str(first)})
    assert load_checkpoint(run("second", epochs=1, initialise=start)).metadata["credits"] == "Thanks to Ann."


def test_the_bound_improves(run, tmp_path):
    run(epochs=16)
    first, *_, last = losses(tmp_path / "run")
    assert last < 0.9 * first


def test_the_best_epoch_is_exported_not_the_last(run, tmp_path, monkeypatch):
    """The loss is made to rise after the second of four epochs."""
    seen = {}
    original = TrainingPlan._log_validation

    def rising(self, name, value):
        epoch = self.current_epoch
        seen[epoch] = self.prior.decoder.hidden.bias.detach().clone()
        original(self, name, torch.tensor(float(abs(epoch - 1))))

    monkeypatch.setattr(TrainingPlan, "_log_validation", rising)
    exported = load_checkpoint(run(epochs=4)).prior.decoder.hidden.bias
    assert torch.equal(exported, seen[1])
    assert not torch.equal(exported, seen[3])


def test_seeds_decide(run):
    one, same, other = (load_file(run(name, seed=s)) for name, s in (("a", 1), ("b", 1), ("c", 2)))
    assert all(torch.equal(one[k], same[k]) for k in one)
    assert not torch.equal(one["prior.decoder.hidden.weight"], other["prior.decoder.hidden.weight"])


@pytest.mark.parametrize("one_cycle", [False, True])
def test_an_interrupted_run_continues_as_if_it_had_not_been(run, monkeypatch, one_cycle):
    options = {"epochs": 4, "optimisation.one_cycle": one_cycle, "data.noise": "UniformNoise"}
    straight = run("straight", **options).read_bytes()
    original = TrainingPlan.training_step

    def interrupted(self, utterances, batch_idx):
        if self.current_epoch == 2 and batch_idx == 1:
            raise KeyboardInterrupt
        return original(self, utterances, batch_idx)

    monkeypatch.setattr(TrainingPlan, "training_step", interrupted)
    with pytest.raises(KeyboardInterrupt, match="continues after the last complete epoch"):
        run("broken", **options)
    monkeypatch.setattr(TrainingPlan, "training_step", original)
    assert run("broken", **options).read_bytes() == straight


def test_an_interruption_in_the_first_epoch_starts_over(run, monkeypatch):
    def interrupted(self, utterances, batch_idx):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TrainingPlan, "training_step", interrupted)
        with pytest.raises(KeyboardInterrupt, match="starts over"):
            run()
    assert run().is_file()


def test_a_finished_run_is_not_trained_again(run, monkeypatch):
    before = run().read_bytes()
    monkeypatch.setattr(TrainingPlan, "training_step", None)
    assert run().read_bytes() == before


def test_more_epochs_continue_a_finished_run(run):
    straight = run("straight", epochs=3).read_bytes()
    run("extended", epochs=2)
    assert run("extended", epochs=3).read_bytes() == straight


def test_other_settings_do_not_continue_a_run(run, tmp_path):
    before = run().read_bytes()
    with pytest.raises(UserError, match="another seed: choose another --output"):
        run(seed=5)
    assert (tmp_path / "run" / "weights.safetensors").read_bytes() == before
    assert run(seed=5, resume="never").read_bytes() != before


def test_a_folder_with_other_things_is_left_alone(run, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("precious")
    with pytest.raises(UserError, match="holds no run"):
        run()
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["thesis.txt"]


def test_a_mistake_leaves_no_folder(run, tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        run(**{"data.train": '["nowhere"]'})
    assert not (tmp_path / "run").exists()


def test_training_stops_early(run, tmp_path):
    run(epochs=50, patience=2, **{"optimisation.lr": 0.0})
    assert len(losses(tmp_path / "run")) == 3


def test_the_table_is_sized_refreshed_and_left_out_of_the_weights(run, tmp_path, monkeypatch):
    tables = []
    original = TableResponsibility.refresh

    def watched(self):
        tables.append((self.logit.clone(), self.fresh.clone()))
        original(self)
        tables.append((self.logit.clone(), self.fresh.clone()))

    monkeypatch.setattr(TableResponsibility, "refresh", watched)
    config = tmp_path / "mixture.yaml"
    config.write_text(MIXTURE)
    weights = run(config=str(config), **{"data.crop_frames": "null"})
    assert len(tables) == 4
    (start, fresh), (after, _) = tables[:2]
    assert start.shape == (6, 17)  # six clips, the longest of 17 frames
    assert not start.any()
    assert torch.equal(after, fresh)
    # every frame of every clip got a value of its own; padding of the shorter ones does not matter
    for row in range(6):
        assert fresh[row, : 12 + row].abs().min() > 0
    assert torch.equal(tables[2][0], after)
    stored = load_file(weights)
    assert stored["guide.responsibility.logit"].shape == (1, 1)
    assert load_checkpoint(weights).guide.responsibility.logit.shape == (1, 1)


def test_a_table_needs_whole_utterances(run, tmp_path):
    config = tmp_path / "mixture.yaml"
    config.write_text(MIXTURE)
    with pytest.raises(UserError, match=r"leave data\.crop_frames out"):
        run(config=str(config))


def test_a_resized_table_starts_over_from_its_weight():
    table = TableResponsibility(1, 1, weight=0.7)
    resize_table(table, 3, 5)
    assert table.logit.shape == table.fresh.shape == (3, 5)
    torch.testing.assert_close(table.logit.sigmoid(), torch.full((3, 5), 0.7))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_missing_device_is_an_error(run):
    with pytest.raises(UserError, match="no CUDA device"):
        run(device="cuda")


@pytest.mark.parametrize("precision", ["tf32", "bf16-mixed"])
def test_other_precisions_train(run, tmp_path, precision):
    before = torch.get_float32_matmul_precision()
    checkpoint = load_checkpoint(run(name="short", precision=precision))
    assert torch.get_float32_matmul_precision() == before
    assert checkpoint.metadata["training"]["precision"] == precision
    assert next(checkpoint.prior.parameters()).dtype == torch.float32
    # the same draws and batches: what differs is how numbers were rounded
    run(name="long")
    expected, found = losses(tmp_path / "long"), losses(tmp_path / "short")
    assert found == pytest.approx(expected, rel=0.02)
    assert (found == expected) == (precision == "tf32")
