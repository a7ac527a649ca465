import math

import pyro
import pytest
import torch

from minvae_pyro.audio.stft import STFT
from minvae_pyro.checkpoints.checkpoint import save_checkpoint
from minvae_pyro.errors import UserError
from minvae_pyro.registry.build import build, together
from minvae_pyro.training.plan import Optimisation, TrainingPlan
from minvae_pyro.utterances import Utterances, concatenate

PLAIN = {"prior": {"class_path": "AudioVAE"}, "guide": {"class_path": "AudioGuide"}}
MIXTURE = {
    "prior": {"class_path": "ConditionalMinVAE"},
    "guide": {
        "class_path": "MixtureGuide",
        "init_args": {"responsibility": {"class_path": "FixedResponsibility"}},
    },
}


@pytest.fixture
def batch():
    """Two utterances of different length, so that one is padded."""
    return concatenate([Utterances.from_spectrum(torch.rand(n, 513), torch.rand(n, 67, 67)) for n in (8, 5)])


def step(plan, batch):
    """One optimiser step, as Lightning does it."""
    settings = plan.optimisation
    adam = torch.optim.AdamW([p for p in plan.parameters() if p.requires_grad], lr=settings.lr)
    plan(batch).backward()
    adam.step()


def test_loss_is_the_negative_bound_of_real_frames_by_hand(batch):
    model, guide = build(PLAIN)
    plan = TrainingPlan(model, guide)
    torch.manual_seed(5)
    loss = plan(batch)
    with torch.no_grad():
        mean, scale = guide.audio.encoder(batch.noisy_power)
        torch.manual_seed(5)
        z = mean + scale * torch.randn(mean.shape)
        variance = model.decoder(z)
        likelihood = (-variance.log() - batch.power / variance).sum(-1)
        divergence = 0.5 * (scale**2 + mean**2 - 1 - 2 * scale.log()).sum(-1)
        bound = (likelihood - divergence)[batch.mask]
    assert len(bound) == 13
    torch.testing.assert_close(loss, -bound.mean(), rtol=1e-5, atol=0)


def test_loss_without_gradients_is_the_same(batch):
    plan = TrainingPlan(*build(MIXTURE)).eval()
    torch.manual_seed(1)
    with_gradients = plan(batch)
    torch.manual_seed(1)
    with torch.no_grad():
        torch.testing.assert_close(plan(batch), with_gradients.detach(), rtol=1e-5, atol=0)


@pytest.mark.parametrize("description", [PLAIN, MIXTURE])
def test_a_batch_that_does_not_count_moves_nothing(batch, description):
    """What keeps a process in step with others; and every parameter has a gradient, for which processes wait."""
    plan = TrainingPlan(*build(description))
    total = plan.total(batch.replace(mask=torch.zeros_like(batch.mask)))
    total.backward()
    assert float(total.detach()) == 0
    assert all(not p.grad.any() for p in plan.parameters())


def test_pyro_is_left_as_it_was(batch):
    plan = TrainingPlan(*build(MIXTURE))
    plan(batch)
    assert len(pyro.get_param_store()) == 0
    assert not pyro.settings.get("module_local_params")
    assert pyro.settings.get("validate_poutine")


def test_frozen_modules_keep_weights_and_statistics(batch):
    model, guide = build(MIXTURE)
    plan = TrainingPlan(model, guide, freeze=["prior.visual_component", "prior.decoder"])
    before = {k: v.clone() for k, v in together(model, guide).state_dict().items()}
    plan._trainer = None
    plan.train()
    plan.on_train_epoch_start()
    step(plan, batch)
    changed = {k for k, v in together(model, guide).state_dict().items() if not torch.equal(v, before[k])}
    assert not {k for k in changed if k.startswith(("prior.visual_component", "prior.decoder"))}
    assert "guide.audio.encoder.hidden.weight" in changed
    assert "guide.visual.network.picture.1.running_mean" in changed


def test_freezing_everything_is_refused():
    with pytest.raises(UserError, match="nothing is left to train"):
        TrainingPlan(*build(PLAIN), freeze=["prior", "guide"])


def test_modules_start_from_a_checkpoint(tmp_path):
    model, guide = build(PLAIN)
    path = save_checkpoint(tmp_path / "a.safetensors", model, guide, PLAIN, STFT())
    torch.manual_seed(99)
    plan = TrainingPlan(
        *build(MIXTURE),
        initialise={
            "prior.decoder": str(path),
            "guide.audio.encoder.hidden": f"{path}#guide.audio.encoder.hidden",
        },
    )
    assert torch.equal(plan.prior.decoder.hidden.weight, model.decoder.hidden.weight)
    mine, start = plan.guide.audio.encoder, guide.audio.encoder
    assert torch.equal(mine.hidden.weight, start.hidden.weight)
    assert not torch.equal(mine.head.mean.weight, start.head.mean.weight)


def test_a_checkpoint_that_does_not_fit_is_an_error(tmp_path):
    path = save_checkpoint(tmp_path / "a.safetensors", *build(PLAIN), PLAIN, STFT())
    with pytest.raises(UserError, match=r"guide\.visual cannot start from prior\.decoder"):
        TrainingPlan(*build(MIXTURE), initialise={"guide.visual": f"{path}#prior.decoder"})
    with pytest.raises(UserError, match="no submodule"):
        TrainingPlan(*build(MIXTURE), initialise={"guide.visual": str(path)})


def test_a_diverged_loss_is_an_error(batch):
    plan = TrainingPlan(*build(PLAIN), Optimisation(lr=1.0))
    bad = batch.replace(spectrum=torch.full_like(batch.spectrum, math.nan))
    with pytest.warns(UserWarning, match="NaN"), pytest.raises(UserError, match="lower the learning rate"):
        plan.training_step(bad, 0)
