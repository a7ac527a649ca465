"""The trained encoders, fine-tuned: what moves, and that nobody else's weights do."""

from typing import Any

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import SVI
from pyro.optim import Adam
from torch import Tensor

from minvae_pyro.errors import UserError
from minvae_pyro.guides import AmortisedGuide, AudioGuide, AudioVisualGuide, NoisyAudioEncoder, VisualGuide
from minvae_pyro.models import AudioVAE, AudioVisualVAE
from minvae_pyro.nn.audio import SpectrumDecoder, SpectrumEncoder
from minvae_pyro.probability.elbo import AnalyticTraceEnum_ELBO
from minvae_pyro.utterances import Utterances


def begin(batch: Utterances) -> tuple[Tensor, Tensor]:
    return torch.zeros(*batch.mask.shape, 3).double(), torch.ones(*batch.mask.shape, 3).double()


def audio() -> tuple[AudioVAE, AudioGuide]:
    encoder = NoisyAudioEncoder(SpectrumEncoder(5, 4, 3))
    return AudioVAE(3, SpectrumDecoder(3, 4, 5)).double(), AudioGuide(encoder).double()


def move(guide: AmortisedGuide) -> None:
    """Change every weight that is fine-tuned."""
    with torch.no_grad():
        for parameter in guide.parameters():
            parameter += torch.randn_like(parameter)


def fit(prior: Any, guide: AmortisedGuide, batch: Utterances, steps: int) -> list[float]:
    model: Any = poutine.block(prior, hide_types=["param"])
    svi = SVI(model, guide, Adam({"lr": 0.05}), AnalyticTraceEnum_ELBO(max_plate_nesting=2))
    with pyro.validation_enabled(False):
        return [svi.step(batch) for _ in range(steps)]


@pytest.mark.parametrize("kind", ["constant", "conditional"])
def test_it_starts_at_what_the_encoders_say(world: Any, kind: str) -> None:
    prior, encoders = world.pair(kind)
    batch = world.with_gaps(world.batch(2, 3))
    posterior = AmortisedGuide().start(prior, batch, begin(batch), encoders).z_posterior().base_dist
    for alpha, (mean, scale) in enumerate((encoders.encode_visual(batch), encoders.encode_audio(batch))):
        torch.testing.assert_close(posterior.loc[alpha], mean)
        torch.testing.assert_close(posterior.scale[alpha], scale)


def test_without_alpha_there_is_the_one_posterior_of_the_trained_guide(world: Any) -> None:
    batch = world.batch(2, 3)
    visual = VisualGuide(world.mixture()[1].visual)
    for prior, encoders in (audio(), (audio()[0], visual)):
        guide = AmortisedGuide().start(prior, batch, begin(batch), encoders)
        posterior = guide.z_posterior().base_dist
        torch.testing.assert_close((posterior.loc, posterior.scale), encoders.encode_audio(batch))
        assert guide.draw(4)["z"].shape == (4, 2, 3, 3)
        assert guide.responsibility is None


def test_moved_weights_are_those_of_a_moved_encoder(world: Any) -> None:
    """trained + rate * change, written into a copy of the encoder by hand, recording by recording."""
    prior, encoders = audio()
    batch = world.batch(2, 3)
    guide = AmortisedGuide(0.1).start(prior, batch, begin(batch), encoders)
    move(guide)
    found = guide.z_posterior().base_dist
    for row in range(2):
        _, moved = audio()
        names = [name for name, _ in encoders.named_parameters()]
        changes = {name: getattr(guide, f"change{n}")[row] for n, name in enumerate(names)}
        moved.load_state_dict({name: w + 0.1 * changes[name] for name, w in encoders.state_dict().items()})
        mean, scale = moved.encode_audio(batch)
        torch.testing.assert_close(found.loc[row], mean[row])
        torch.testing.assert_close(found.scale[row], scale[row])


@pytest.mark.parametrize("kind", ["constant", "conditional", "audio"])
def test_fitting_raises_the_bound_and_leaves_the_trained_guide_alone(world: Any, kind: str) -> None:
    prior, encoders = audio() if kind == "audio" else world.pair(kind)
    batch = world.with_gaps(world.batch(2, 3))
    before = {name: value.clone() for name, value in (*encoders.state_dict().items(), *prior.state_dict().items())}
    prior.eval()
    guide = AmortisedGuide(0.2).start(prior, batch, begin(batch), encoders)
    losses = fit(prior, guide, batch, 60)
    assert sum(losses[-10:]) < sum(losses[:10]) - 1
    after = {**encoders.state_dict(), **prior.state_dict()}
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=0, atol=0)
    assert all(parameter.grad is None for parameter in encoders.parameters())
    assert all(parameter.abs().max() > 0 for parameter in guide.parameters())


def test_what_reads_the_mouth_runs_once_and_its_answer_is_fitted_freely(world: Any) -> None:
    prior, encoders = world.mixture()
    batch = world.batch(2, 3)
    looks: list[int] = []
    encoders.visual.register_forward_hook(lambda *arguments: looks.append(1))
    guide = AmortisedGuide(0.5).start(prior, batch, begin(batch), encoders)
    assert not any(name.startswith("encoders.visual") for name in guide._trained)
    fit(prior.eval(), guide, batch, 3)
    guide.draw(2)
    assert len(looks) == 1
    visual = guide.z_posterior().base_dist
    torch.testing.assert_close((visual.loc[0], visual.scale[0]), (guide.mean, guide.scale))
    assert ((guide.mean - encoders.encode_visual(batch)[0]).abs() > 0).all()


def test_a_guide_that_asks_its_prior_has_it_look_at_the_mouth_once(world: Any) -> None:
    prior = AudioVisualVAE().double()
    encoders = AudioVisualGuide(prior.eval()).double().eval()
    batch = Utterances.from_spectrum(torch.rand(2, 3, 513).double(), torch.rand(2, 3, 67, 67).double())
    looks = []
    prior.visual_features.network.register_forward_hook(lambda *arguments: looks.append(1))
    wide = torch.zeros(2, 3, 32).double(), torch.ones(2, 3, 32).double()
    guide = AmortisedGuide().start(prior.condition_on(batch), batch, wide, encoders)
    once = len(looks)
    guide.draw(2)
    guide.z_posterior().mean.sum().backward()
    assert len(looks) == once
    assert all(parameter.grad is None for parameter in prior.parameters())
    posterior = guide.z_posterior().base_dist
    torch.testing.assert_close((posterior.loc, posterior.scale), encoders.encode_audio(batch))


def test_recordings_in_a_batch_are_fitted_by_themselves(world: Any) -> None:
    prior, encoders = audio()
    batch = world.batch(2, 3)
    alone = Utterances.from_spectrum(batch.spectrum[1:], batch.mouth[1:]).replace(noisy_power=batch.noisy_power[1:])
    guides = [AmortisedGuide(0.2).start(prior, one, begin(one), encoders) for one in (batch, alone)]
    slopes = []
    for guide in guides:
        posterior = guide.z_posterior().base_dist
        total = (posterior.loc**2 + posterior.scale).sum()
        slopes.append(torch.autograd.grad(total, [p for _, p in sorted(guide.named_parameters())]))
    for together, single in zip(*slopes, strict=True):
        torch.testing.assert_close(together[1:], single)


def test_there_must_be_encoders_and_a_rate(world: Any) -> None:
    batch = world.batch(1, 2)
    with pytest.raises(UserError, match="choose MeanFieldGuide"):
        AmortisedGuide().start(audio()[0], batch, begin(batch))
    with pytest.raises(ValueError, match="rate above 0"):
        AmortisedGuide(0.0)
