"""The training loss against a bound written by hand, for both visual components and every responsibility."""

import math
from typing import Any

import pytest
import torch
from pyro import poutine
from pyro.infer import SVI
from pyro.optim import Adam
from scipy.optimize import minimize_scalar
from torch import Tensor

from minvae_pyro.guides import AudioGuide, FixedResponsibility, MixtureGuide, SharedGuide, VisualGuide
from minvae_pyro.models import AudioVAE, FixedAlphaPrior, MinVAE, VisualVAE
from minvae_pyro.probability.elbo import AnalyticTraceEnum_ELBO
from minvae_pyro.probability.parameters import local_parameters
from minvae_pyro.utterances import Utterances, concatenate

SEED = 11
KINDS = ["constant", "conditional"]
RULES = ["collapsed", "table", "fixed", "gated"]
SHAPES = [(2, 2), (1, 2), (2, 1), (1, 1), (3, 4)]


def pyro_loss(model: Any, guide: Any, batch: Utterances) -> Tensor:
    torch.manual_seed(SEED)
    return AnalyticTraceEnum_ELBO(max_plate_nesting=2).differentiable_loss(model, guide, batch)


def noise(guide: MixtureGuide, batch: Utterances, latent: int) -> Tensor:
    """The standard normal draws that the guide makes after the seed, (2, B, N, L)."""
    torch.manual_seed(SEED)
    shape = (*batch.mask.shape, latent)
    if isinstance(guide, SharedGuide):
        return torch.randn(shape, dtype=torch.float64).expand(2, *shape)
    return torch.randn(2, *shape, dtype=torch.float64)


def gaussian_kl(q: tuple[Tensor, Tensor], p: tuple[Tensor, Tensor]) -> Tensor:
    (q_mean, q_scale), (p_mean, p_scale) = q, p
    square = (q_scale**2 + (q_mean - p_mean) ** 2) / p_scale**2
    return (torch.log(p_scale / q_scale) + square / 2 - 0.5).sum(-1)


def log_likelihood(batch: Utterances, variance: Tensor) -> Tensor:
    """Of power, constants as the exponential density has them, (B, N)."""
    return -(torch.log(variance) + batch.power / variance).sum(-1)


def components(prior: MinVAE, batch: Utterances) -> dict[str, tuple[Tensor, Tensor]]:
    """Mean and scale of p(z | alpha), by name of the modality."""
    if type(prior) is MinVAE:
        a, v = prior.audio_component, prior.visual_component
        return {"a": (a.mean, a.log_scale.exp()), "v": (v.mean, v.log_scale.exp())}
    zero, one = torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    mean, scale = prior.visual_component.network(batch.mouth, batch.mouth_seen)
    seen = batch.mouth_seen[..., None].double()
    return {"a": (zero, one), "v": (seen * mean, seen * scale + (1 - seen))}


def bounds(prior: MinVAE, guide: MixtureGuide, batch: Utterances) -> tuple[Tensor, Tensor]:
    """L_a and L_v, each (B, N)."""
    if isinstance(guide, SharedGuide):
        shared = guide.audio.encoder(batch.power)
        posteriors = {"v": shared, "a": shared}
    else:
        posteriors = {
            "v": guide.visual.network(batch.mouth, batch.mouth_seen),
            "a": guide.audio.encoder(batch.noisy_power),
        }
    draws = noise(guide, batch, 3)
    found = {}
    for row, name in enumerate("va"):
        mean, scale = posteriors[name]
        variance = prior.decoder(mean + scale * draws[row])
        divergence = gaussian_kl(posteriors[name], components(prior, batch)[name])
        found[name] = log_likelihood(batch, variance) - divergence
    return found["a"], found["v"]


def log_odds_of_pi(prior: MinVAE, batch: Utterances) -> Tensor:
    return torch.where(batch.mouth_seen, prior.alpha_prior.logit, 30.0)


def responsibility(rule: str, prior: MinVAE, guide: MixtureGuide, batch: Utterances) -> Tensor:
    """r, (B, N), by each rule's definition."""
    if rule == "collapsed":
        audio, visual = bounds(prior, guide, batch)
        logit = (log_odds_of_pi(prior, batch) + audio - visual).detach().clamp(-30, 30)
    elif rule == "table":
        logit = guide.responsibility.logit[batch.index][:, : batch.frames]
    elif rule == "fixed":
        logit = torch.full(batch.mask.shape, 0.2, dtype=torch.float64).logit()
    else:
        if isinstance(guide, SharedGuide):
            mean, scale = (part.detach() for part in components(prior, batch)["v"])
        else:
            mean, scale = (part.detach() for part in guide.visual.network(batch.mouth, batch.mouth_seen))
        looked_at = [batch.noisy_power, prior.decoder(mean).detach().log(), mean, scale]
        logit = guide.responsibility.gate.linear(torch.cat(looked_at, -1))[..., 0].clamp(-30, 30)
    return torch.where(batch.mouth_seen, logit, 30.0).sigmoid()


def oracle(rule: str, prior: MinVAE, guide: MixtureGuide, batch: Utterances) -> Tensor:
    """-sum over frames of r L_a + (1 - r) L_v - KL(Bern(r) || Bern(pi))."""
    audio, visual = bounds(prior, guide, batch)
    r, pi = responsibility(rule, prior, guide, batch), log_odds_of_pi(prior, batch).sigmoid()
    divergence = r * (r / pi).log() + torch.special.xlog1py(1 - r, -r) - torch.special.xlog1py(1 - r, -pi)
    return -((r * audio + (1 - r) * visual - divergence) * batch.mask).sum()


def gradients(loss: Tensor, *modules: torch.nn.Module) -> dict[str, Tensor]:
    named = [(f"{n} {name}", p) for n, m in enumerate(modules) for name, p in m.named_parameters()]
    found = torch.autograd.grad(loss, [p for _, p in named], retain_graph=True, allow_unused=True)
    return {name: torch.zeros_like(p) if g is None else g for (name, p), g in zip(named, found, strict=True)}


def assert_same(first: Tensor, second: Tensor, *modules: torch.nn.Module) -> None:
    torch.testing.assert_close(first, second, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(gradients(first, *modules), gradients(second, *modules), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize(("size", "frames"), SHAPES)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", KINDS)
def test_loss_and_gradients_are_those_of_the_bound_written_by_hand(
    world: Any, kind: str, rule: str, size: int, frames: int, gaps: bool
) -> None:
    prior, guide = world.pair(kind, rule)
    batch = world.batch(size, frames)
    if gaps:
        batch = world.with_gaps(batch)
    assert_same(pyro_loss(prior, guide, batch), oracle(rule, prior, guide, batch), prior, guide)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_step_decodes_once(world: Any, kind: str, rule: str) -> None:
    prior, guide = world.pair(kind, rule)
    passes = []
    prior.decoder.register_forward_hook(lambda *_: passes.append(1))
    pyro_loss(prior, guide, world.batch())
    # only the gate, which compares what is heard with what the mouth lets expect, decodes that too
    assert len(passes) == (2 if rule == "gated" else 1)


@pytest.mark.parametrize("kind", KINDS)
def test_every_part_that_should_learn_gets_a_gradient(world: Any, kind: str) -> None:
    prior, guide = world.pair(kind, "gated")
    found = gradients(pyro_loss(prior, guide, world.batch(3, 4)), prior, guide)
    assert [name for name, gradient in found.items() if not gradient.abs().sum() > 0] == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_closed_form_maximises_the_bound_over_r(world: Any, kind: str) -> None:
    prior, guide = world.pair(kind)
    batch = world.batch(2, 3)
    audio, visual = (part.detach() for part in bounds(prior, guide, batch))
    pi = log_odds_of_pi(prior, batch).sigmoid().detach()
    torch.manual_seed(SEED)
    logit = poutine.trace(guide).get_trace(batch).nodes["alpha"]["fn"].logits

    def loss(x: float, a: float, v: float, p: float) -> float:
        return -(x * a + (1 - x) * v - x * math.log(x / p) - (1 - x) * math.log((1 - x) / (1 - p)))

    for r, *given in torch.stack([logit.sigmoid(), audio, visual, pi]).detach().flatten(1).T.tolist():
        best = minimize_scalar(loss, args=tuple(given), bounds=(1e-12, 1 - 1e-12), options={"xatol": 1e-9})
        assert best.x == pytest.approx(r, abs=1e-6)
        # and it is the posterior of a two-point model whose joint weights are exp of the bounds
        a, v, p = given
        weights = p * math.exp(a - max(a, v)), (1 - p) * math.exp(v - max(a, v))
        assert weights[0] / sum(weights) == pytest.approx(r, abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_the_collapsed_bound_is_a_log_sum_exp(world: Any, kind: str) -> None:
    prior, guide = world.pair(kind)
    batch = world.with_gaps(world.batch(2, 3))
    audio, visual = bounds(prior, guide, batch)
    logit = log_odds_of_pi(prior, batch)
    joint = torch.stack(
        [
            torch.nn.functional.logsigmoid(logit) + audio,
            torch.nn.functional.logsigmoid(-logit) + visual,
        ]
    )
    by_hand = -(joint.logsumexp(0) * batch.mask).sum()
    # log-odds are clamped to 30, which costs at most e^-30 of each bound
    assert_same(pyro_loss(prior, guide, batch), by_hand, prior, guide)


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_at_its_fixed_point_is_the_collapsed_guide(world: Any, kind: str) -> None:
    prior, guide = world.pair(kind, "table")
    batch = world.with_gaps(world.batch(2, 3))
    table, before = guide.responsibility, guide.responsibility.logit.clone()
    first = pyro_loss(prior, guide, batch)
    torch.testing.assert_close(table.logit, before)  # nothing changes within an epoch
    table.refresh()
    with_table = pyro_loss(prior, guide, batch)
    _, twin = world.pair(kind, "collapsed")
    twin._prior = guide._prior
    twin.audio, twin.visual = guide.audio, guide.visual
    collapsed = pyro_loss(prior, twin, batch)
    assert_same(with_table, collapsed, prior, guide.audio, guide.visual)
    assert collapsed < first
    untouched = torch.ones_like(before, dtype=torch.bool)
    untouched[batch.index, : batch.frames] = False
    torch.testing.assert_close(table.logit[untouched], before[untouched])


def test_the_table_is_not_prepared_in_evaluation(world: Any) -> None:
    prior, guide = world.pair("constant", "table")
    guide.eval()
    pyro_loss(prior, guide, world.batch())
    before = guide.responsibility.logit.clone()
    guide.responsibility.refresh()
    torch.testing.assert_close(guide.responsibility.logit, before)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", KINDS)
def test_sound_without_video_trains_the_audio_branch_alone(world: Any, kind: str, rule: str) -> None:
    prior, guide = world.pair(kind, rule)
    batch = world.batch(2, 2).without_mouth()
    loss = pyro_loss(prior, guide, batch)
    audio, _ = bounds(prior, guide, batch)
    torch.testing.assert_close(loss, -audio.sum(), rtol=1e-11, atol=1e-9)
    found = gradients(loss, prior, guide)
    expected = gradients(-audio.sum(), prior, guide)
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)
    visual = [g for name, g in found.items() if ".network." in name or "visual_component" in name or "gate" in name]
    assert visual
    assert max(float(g.abs().max()) for g in visual) < 1e-9


def test_a_batch_may_mix_utterances_with_and_without_video(world: Any) -> None:
    prior, guide = world.pair("conditional", "fixed")
    one, other = world.batch(1, 2), world.batch(1, 3).without_mouth()
    joined = concatenate([one, other])
    assert_same(pyro_loss(prior, guide, joined), oracle("fixed", prior, guide, joined), prior, guide)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_in_padding_does_not_matter(world: Any, kind: str, rule: str) -> None:
    prior, guide = world.pair(kind, rule)
    batch = world.with_gaps(world.batch(2, 3))
    padding = ~batch.mask[..., None]
    loud = torch.where(padding, 1e4, batch.spectrum)
    changed = batch.replace(spectrum=loud, noisy_power=torch.where(padding, 1e4, batch.noisy_power))
    assert_same(pyro_loss(prior, guide, batch), pyro_loss(prior, guide, changed), prior, guide)


@pytest.mark.parametrize("rule", ["collapsed", "fixed"])
@pytest.mark.parametrize("kind", KINDS)
def test_complex_and_power_likelihood_give_the_same_gradients(world: Any, kind: str, rule: str) -> None:
    prior, guide = world.pair(kind, rule)
    coefficients = world.with_gaps(world.batch(2, 3, complex_values=True))
    power = coefficients.replace(spectrum=coefficients.power)
    of_complex, of_power = (pyro_loss(prior, guide, batch) for batch in (coefficients, power))
    count = int(power.mask.sum()) * world.frequencies
    assert (of_complex - of_power).item() == pytest.approx(count * torch.tensor(torch.pi).log().item())
    torch.testing.assert_close(
        gradients(of_complex, prior, guide), gradients(of_power, prior, guide), rtol=1e-10, atol=1e-12
    )


def condition_on(value: float, model: Any, guide: Any) -> tuple[Any, Any]:
    """Model and guide with alpha given."""
    data = {"alpha": torch.tensor(value, dtype=torch.float64)}
    return poutine.condition(model, data), poutine.block(poutine.condition(guide, data), hide=["alpha"])


@pytest.mark.parametrize(("alpha", "name"), [(1.0, "audio"), (0.0, "visual")])
def test_given_alpha_the_bound_is_that_of_the_plain_vae(world: Any, alpha: float, name: str) -> None:
    prior, guide = world.pair("constant", "fixed")
    component = getattr(prior, f"{name}_component")
    component.mean.data.zero_()
    component.log_scale.data.zero_()
    batch = world.batch(2, 3)
    loss = pyro_loss(*condition_on(alpha, prior, guide), batch)
    # the plain pair from the same parts and the same noise: its row of the two that the mixture draws
    audio, visual = bounds(prior, guide, batch)
    by_hand = -(audio if alpha else visual).sum()
    log_pi = torch.nn.functional.logsigmoid(prior.alpha_prior.logit * (1 if alpha else -1))
    count = int(batch.mask.sum())
    assert_same(loss, by_hand - count * log_pi, prior, guide)

    plain, posterior = (AudioVAE, AudioGuide) if alpha else (VisualVAE, VisualGuide)
    vae, encoder = plain(3, prior.decoder), posterior(getattr(guide, name))
    with _known_noise(noise(guide, batch, 3)[int(alpha)]):
        assert_same(pyro_loss(vae, encoder, batch), by_hand, prior.decoder, getattr(guide, name))


@pytest.mark.parametrize("alpha", [1.0, 0.0])
def test_given_alpha_the_shared_posterior_is_scored_by_one_component(world: Any, alpha: float) -> None:
    prior, guide = world.pair("conditional", "fixed")
    batch = world.batch(2, 3)
    log_pi = torch.nn.functional.logsigmoid(prior.alpha_prior.logit * (1 if alpha else -1))
    count = int(batch.mask.sum())
    loss = pyro_loss(*condition_on(alpha, prior, guide), batch) + count * log_pi
    audio, visual = bounds(prior, guide, batch)
    assert_same(loss, -(audio if alpha else visual).sum(), prior, guide)
    if alpha:  # and that is A-VAE, whose guide makes the very same draw
        assert_same(loss, pyro_loss(AudioVAE(3, prior.decoder), AudioGuide(guide.audio), batch), prior, guide)


class _known_noise:
    """Let the next standard normal draw of a normal distribution be known."""

    def __init__(self, draw: Tensor) -> None:
        self.draw = draw

    def __enter__(self) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr("torch.distributions.normal._standard_normal", lambda *_, **__: self.draw)

    def __exit__(self, *_: object) -> None:
        self.patch.undo()


@pytest.mark.parametrize("kind", KINDS)
def test_alpha_may_be_sampled(world: Any, kind: str) -> None:
    _, guide = world.pair(kind, "fixed")
    batch = world.batch(2, 3)
    torch.manual_seed(SEED)
    trace = poutine.trace(guide).get_trace(batch)
    alpha, z = trace.nodes["alpha"]["value"], trace.nodes["z"]["fn"].base_dist
    assert alpha.shape == (2, 3)
    mean, scale = guide.posteriors(batch)
    picked = alpha[..., None] == 1
    torch.testing.assert_close(z.loc, torch.where(picked, mean[1], mean[0]))
    torch.testing.assert_close(z.scale, torch.where(picked, scale[1], scale[0]))


def test_responsibility_one_half_gives_half_of_both_bounds(world: Any) -> None:
    prior, guide = world.pair("constant", "fixed")
    prior.alpha_prior = FixedAlphaPrior(0.5).double()
    guide.responsibility = FixedResponsibility(0.5)
    batch = world.batch(2, 3)
    audio, visual = bounds(prior, guide, batch)
    assert_same(pyro_loss(prior, guide, batch), -(audio + visual).sum() / 2, prior, guide)


def test_the_weights_of_the_model_are_not_the_guides(world: Any) -> None:
    prior, guide = world.pair("conditional")
    assert not {id(p) for p in prior.parameters()} & {id(p) for p in guide.parameters()}


def test_bounds_cannot_be_asked_of_a_noisy_recording(world: Any) -> None:
    _, guide = world.pair("constant", "collapsed")
    assert guide.gate_logits(world.batch()) is None
    with pytest.raises(ValueError, match="clean speech only"):
        guide.evidence(world.batch()).bounds()


@pytest.mark.parametrize("kind", KINDS)
def test_the_gate_can_be_asked_of_a_noisy_recording(world: Any, kind: str) -> None:
    prior, guide = world.pair(kind, "gated")
    batch = world.with_gaps(world.batch(2, 3))
    logit = guide.gate_logits(batch)
    torch.testing.assert_close(logit.sigmoid(), responsibility("gated", prior, guide, batch))
    assert logit[0, 0] == 30


@pytest.mark.parametrize("kind", KINDS)
def test_plain_svi_trains_every_parameter(world: Any, kind: str) -> None:
    prior, guide = world.pair(kind, "gated")
    batch = world.batch(3, 4)
    before = {name: p.detach().clone() for m in (prior, guide) for name, p in m.named_parameters()}
    loss = SVI(prior, guide, Adam({"lr": 0.01}), AnalyticTraceEnum_ELBO(max_plate_nesting=2)).step(batch)
    assert math.isfinite(loss)
    after = {name: p for m in (prior, guide) for name, p in m.named_parameters()}
    assert [name for name in before if torch.equal(before[name], after[name])] == []


@pytest.mark.parametrize("kind", KINDS)
def test_model_guide_and_bound_make_one_torch_module(world: Any, kind: str) -> None:
    prior, guide = world.pair(kind)
    batch = world.batch(2, 3)
    with local_parameters(prior, guide):
        module = AnalyticTraceEnum_ELBO(max_plate_nesting=2)(prior, guide)
        torch.manual_seed(SEED)
        loss = module(batch)
    assert_same(loss, oracle("collapsed", prior, guide, batch), prior, guide)
    assert {id(p) for p in module.parameters()} == {id(p) for m in (prior, guide) for p in m.parameters()}


def test_two_guides_in_one_process_do_not_collide(world: Any) -> None:
    batch = world.batch()
    pairs = [world.pair("constant") for _ in range(2)]
    apart = [pyro_loss(*pair, batch).item() for pair in pairs]
    with local_parameters(*(module for pair in pairs for module in pair)):
        together = [pyro_loss(*pair, batch).item() for pair in pairs]
    assert together == apart
    assert apart[0] != apart[1]


def test_a_deferred_responsibility_may_be_drawn_within_the_plates(world: Any) -> None:
    """Whoever does not enumerate alpha (a plain run, Predictive) draws it; the guide then finds its evidence there."""
    prior, guide = world.pair("conditional")
    batch = world.with_gaps(world.batch(2, 3))
    trace = poutine.trace(guide).get_trace(batch)
    alpha, z = trace.nodes["alpha"]["value"], trace.nodes["z"]["value"]
    assert alpha.shape == (2, 3)
    assert set(alpha.unique().tolist()) <= {0.0, 1.0}
    assert z.shape == (2, 3, prior.latent_dim)
    assert set(trace.stochastic_nodes) == {"alpha", "z", "utterances", "frames"}
