import math
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import SVI, TraceEnum_ELBO
from pyro.infer.autoguide import (
    AutoDelta,
    AutoDiagonalNormal,
    AutoIAFNormal,
    AutoLowRankMultivariateNormal,
    AutoMultivariateNormal,
    AutoNormal,
)
from pyro.optim import Adam
from torch.distributions import constraints

from minvae_pyro.errors import UserError
from minvae_pyro.guides import MeanFieldGuide, PyroGuide
from minvae_pyro.models import AudioVAE, ConditionalMinVAE, NMFNoise, NoisyMixture, SwitchingVAE
from minvae_pyro.nn.audio import SpectrumDecoder
from minvae_pyro.nn.visual import MouthPerceptron
from minvae_pyro.probability.elbo import AnalyticTraceEnum_ELBO
from minvae_pyro.probability.parameters import frozen, local_parameters
from minvae_pyro.utterances import Utterances, concatenate

LATENT, BINS, FRAMES = 3, 6, 5
KINDS = [
    AutoNormal,
    AutoDelta,
    AutoDiagonalNormal,
    AutoLowRankMultivariateNormal,
    AutoMultivariateNormal,
    AutoIAFNormal,
]


def vae() -> AudioVAE:
    return AudioVAE(LATENT, SpectrumDecoder(LATENT, 4, BINS)).double()


def min_vae() -> ConditionalMinVAE:
    network = MouthPerceptron((4, 4), LATENT)
    return ConditionalMinVAE(LATENT, network, decoder=SpectrumDecoder(LATENT, 4, BINS)).double().eval()


def recording(frames: int = FRAMES) -> Utterances:
    spectrum = torch.randn(1, frames, BINS, dtype=torch.complex128)
    return Utterances.from_spectrum(spectrum, torch.rand(1, frames, 67, 67, dtype=torch.float64))


def place(batch: Utterances) -> tuple[torch.Tensor, torch.Tensor]:
    shape = (*batch.mask.shape, LATENT)
    return torch.randn(shape, dtype=torch.float64), 0.2 + torch.rand(shape, dtype=torch.float64)


def mixture_of(prior: Any, batch: Utterances) -> NoisyMixture:
    noise = NMFNoise(2).start(batch, torch.Generator().manual_seed(0))
    return NoisyMixture(prior.condition_on(batch), noise, batch.power.new_ones(len(batch), 1, 1))


def climb(mixture: NoisyMixture, guide: Any, batch: Utterances, steps: int, elbo: Any = None) -> list[float]:
    svi = SVI(mixture, guide, Adam({"lr": 0.03}), elbo or AnalyticTraceEnum_ELBO(max_plate_nesting=2))
    with local_parameters(mixture, mixture.speech, guide), frozen(mixture.speech):
        return [svi.step(batch) for _ in range(steps)]


@pytest.mark.parametrize("kind", KINDS)
def test_an_automatic_guide_begins_at_the_start(kind: Any) -> None:
    torch.set_default_dtype(torch.float64)
    batch = recording()
    begin = place(batch)
    draws = PyroGuide(kind).start(min_vae(), batch, begin).draw(60)["z"]
    assert draws.shape == (60, 1, FRAMES, LATENT)
    # a flow is not exactly the identity before it is trained
    tolerance = 0.6 if kind is AutoIAFNormal else 0.4
    torch.testing.assert_close(draws.mean(0), begin[0], rtol=0, atol=tolerance)
    if kind in (AutoNormal, AutoDiagonalNormal, AutoMultivariateNormal):
        assert float(draws.std(0).mean()) == pytest.approx(float(begin[1].mean()), rel=0.2)


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_of_an_automatic_guide_is_fitted(kind: Any) -> None:
    torch.set_default_dtype(torch.float64)
    batch = recording()
    prior = min_vae()
    guide = PyroGuide(kind).start(prior, batch, place(batch))
    mixture = mixture_of(prior, batch)
    before = {name: value.detach().clone() for name, value in guide.named_parameters()}
    losses = climb(mixture, guide, batch, 40)
    assert sum(losses[-10:]) < sum(losses[:10])
    assert before
    assert [name for name, value in guide.named_parameters() if value.equal(before[name])] == []
    assert len(pyro.get_param_store()) == 0


def test_the_bound_of_an_automatic_guide_is_that_of_the_mean_field_of_the_same_parameters() -> None:
    """q(alpha), enumerated, is no part of the automatic guide: only the divergence of z is drawn instead of known."""
    torch.set_default_dtype(torch.float64)
    batch = recording()
    prior = min_vae()
    mean, scale = place(batch)
    scale = torch.full_like(scale, 0.3)
    mixture = mixture_of(prior, batch)
    means = []
    for guide in (PyroGuide(AutoNormal), MeanFieldGuide()):
        started: Any = guide.start(prior, batch, (mean, scale))
        started.alpha = dist.Bernoulli(torch.tensor([[0.1, 0.3, 0.5, 0.7, 0.9]]))
        elbo = AnalyticTraceEnum_ELBO(max_plate_nesting=2)
        with torch.no_grad(), local_parameters(mixture, mixture.speech, started):
            losses = torch.tensor([elbo.loss(mixture, started, batch) for _ in range(150)])
        means.append((losses.mean(), losses.std() / math.sqrt(len(losses))))
    (one, error), (other, _) = means
    assert abs(one - other) < 4 * error
    assert error < 1.0


def test_q_of_alpha_is_the_closed_form_of_the_mean_field() -> None:
    torch.set_default_dtype(torch.float64)
    batch = recording()
    prior = min_vae()
    mean, _ = place(batch)
    scale = torch.full_like(mean, 0.05)
    mixture = mixture_of(prior, batch)
    found = []
    for guide in (PyroGuide(AutoNormal), MeanFieldGuide()):
        started: Any = guide.start(prior, batch, (mean, scale))
        assert started.update_alpha(mixture, batch)
        found.append(started.responsibility)
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0.03)


def test_a_gate_and_frames_without_a_mouth_decide_alpha() -> None:
    torch.set_default_dtype(torch.float64)
    batch = recording()
    batch.mouth_seen[0, 2] = False
    prior = min_vae()
    log_odds = torch.linspace(-2, 2, FRAMES)[None]
    given = PyroGuide().start(prior, batch, place(batch), None, log_odds)
    assert not given.update_alpha(mixture_of(prior, batch), batch)
    torch.testing.assert_close(given.responsibility, log_odds.sigmoid())
    free = PyroGuide().start(prior, batch, place(batch))
    free.update_alpha(mixture_of(prior, batch), batch)
    assert float(free.responsibility[0, 2]) > 0.999


@pytest.mark.parametrize("kind", [AutoNormal, AutoDiagonalNormal])
def test_padding_changes_nothing(kind: Any) -> None:
    """Frames that do not exist neither move the bound nor grow without end."""
    torch.set_default_dtype(torch.float64)
    long, short = recording(8), recording(3)
    batch = concatenate([long, short])
    prior = vae()
    begin = place(batch)
    guide = PyroGuide(kind).start(prior, batch, begin)
    climb(mixture_of(prior, batch), guide, batch, 100)
    outside = guide.draw(50)["z"][:, 1, 3:]
    assert float(outside.std()) == pytest.approx(1.0, abs=0.25)
    assert float(outside.mean()) == pytest.approx(0.0, abs=0.25)


def test_a_new_window_begins_where_the_last_one_stands() -> None:
    batch, prior = recording(6).to(torch.float32), vae().float()
    begin = tuple(part.float() for part in place(batch))
    earlier = PyroGuide(AutoDiagonalNormal, init_scale=1e-4).start(prior, batch, begin)  # type: ignore[arg-type]
    other = tuple(part.float() for part in place(batch))
    later = PyroGuide(AutoDiagonalNormal, init_scale=1e-4).start(prior, batch, other)  # type: ignore[arg-type]
    later.warm_start(earlier, 2)
    found = later.draw(4)["z"].mean(0)
    torch.testing.assert_close(found[:, :4], begin[0][:, 2:], rtol=0, atol=1e-3)
    torch.testing.assert_close(found[:, 4:], other[0][:, 4:], rtol=0, atol=1e-3)
    climb(mixture_of(prior, batch), later, batch, 2)


def plain(utterances: Utterances, begin: Any) -> None:
    mean = pyro.param("mean", begin[0])
    scale = pyro.param("scale", begin[1], constraint=constraints.positive)
    with utterances.plates().every_frame():
        pyro.sample("z", dist.Normal(mean, scale).to_event(1))


def by_alpha(utterances: Utterances) -> None:
    shape = *utterances.mask.shape, LATENT
    mean = pyro.param("means", torch.stack([torch.zeros(shape), torch.ones(shape)]))
    with utterances.plates().every_frame():
        alpha = pyro.sample("alpha", dist.Bernoulli(logits=pyro.param("logits", torch.zeros(utterances.mask.shape))))
        pyro.sample("z", dist.Normal(torch.where(alpha[..., None] == 1, mean[1], mean[0]), 0.1).to_event(1))


def nothing(utterances: Utterances) -> None:
    """Samples no site."""


def test_a_function_is_the_guide_and_gets_the_start() -> None:
    torch.set_default_dtype(torch.float64)
    batch, prior = recording(), min_vae()
    begin = place(batch)
    mixture = mixture_of(prior, batch)
    guide = PyroGuide(plain).start(prior, batch, begin)
    torch.testing.assert_close(guide.draw(60)["z"].mean(0), begin[0], rtol=0, atol=0.7)
    losses = climb(mixture, guide, batch, 40)
    assert sum(losses[-10:]) < sum(losses[:10])
    assert len(pyro.get_param_store()) == 0  # its parameters are its own
    assert not torch.allclose(guide.draw(60)["z"].mean(0), begin[0], atol=0.01)


def test_a_function_may_say_what_alpha_is_and_let_z_depend_on_it() -> None:
    torch.set_default_dtype(torch.float64)
    batch, prior = recording(), min_vae()
    guide = PyroGuide(by_alpha).start(prior, batch, place(batch))
    draws = guide.draw(7)["z"]
    assert draws.shape == (7, 2, 1, FRAMES, LATENT)
    torch.testing.assert_close(draws.mean((0, 2, 3, 4)), torch.tensor([0.0, 1.0]), rtol=0, atol=0.1)
    mixture = mixture_of(prior, batch)
    assert guide.update_alpha(mixture, batch)
    torch.testing.assert_close(guide.responsibility, torch.full((1, FRAMES), 0.5))
    losses = climb(mixture, guide, batch, 30, TraceEnum_ELBO(max_plate_nesting=2))
    assert sum(losses[-10:]) < sum(losses[:10])
    guide.update_alpha(mixture, batch)
    assert not torch.allclose(guide.responsibility, torch.full((1, FRAMES), 0.5), atol=0.02)


def test_alpha_that_is_a_chain_stays_one() -> None:
    torch.set_default_dtype(torch.float64)
    batch = recording()
    prior = SwitchingVAE(vae(), vae()).double()
    guide = PyroGuide().start(prior, batch, place(batch))
    guide.update_alpha(mixture_of(prior, batch), batch)
    assert type(guide.alpha).__name__ == "BinaryMarkovChain"


def test_what_does_not_fit_is_refused() -> None:
    batch = recording().to(torch.float32)
    begin = torch.zeros(1, FRAMES, LATENT), torch.ones(1, FRAMES, LATENT)
    with pytest.raises(UserError, match="nothing does not sample z"):
        PyroGuide(nothing).start(vae().float(), batch, begin)
    with pytest.raises(ValueError, match="takes no arguments"):
        PyroGuide(plain, width=3)
    huge = torch.zeros(1, 600, 32)
    with pytest.raises(UserError, match=r"AutoIAFNormal ties all 19200 dimensions.*cut the recording"):
        PyroGuide(AutoIAFNormal).start(AudioVAE(), recording(600), (huge, huge + 1))


def test_the_density_of_a_change_of_variables_counts() -> None:
    """A positive latent: its automatic guide is a point with a Jacobian, which the analytic bound must not drop."""

    def model() -> None:
        pyro.sample("scale", dist.LogNormal(0.3, 0.5))

    guide = AutoNormal(model, init_scale=0.5, init_loc_fn=lambda site: torch.tensor(0.3).exp())
    # q is the prior: the bound is zero in every draw
    for elbo in (AnalyticTraceEnum_ELBO, TraceEnum_ELBO):
        assert elbo(max_plate_nesting=0, strict_enumeration_warning=False).loss(model, guide) == pytest.approx(
            0.0, abs=1e-5
        )
    assert poutine.trace(guide).get_trace().nodes["scale"]["fn"].log_density != 0
