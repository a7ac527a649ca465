"""Any program of Pyro's around any prior and guide: no axis of a tensor is taken for another.

Every draw of z is the same for all particles, copies and values of alpha here, so that what has to agree on average
agrees exactly.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from itertools import product
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import Predictive, RenyiELBO, Trace_ELBO, TraceEnum_ELBO, TraceMeanField_ELBO, infer_discrete
from pyro.infer.autoguide import AutoDelta, AutoNormal
from torch import Tensor

from minvae_pyro.checkpoints.checkpoint import load_checkpoint
from minvae_pyro.errors import UserError
from minvae_pyro.guides import (
    CollapsedResponsibility,
    FixedResponsibility,
    MixtureGuide,
    ParticleGuide,
    TableResponsibility,
    UtteranceGuide,
)
from minvae_pyro.models import NMFNoise, NoisyMixture
from minvae_pyro.models.speech_prior import spectral_likelihood
from minvae_pyro.probability.elbo import AnalyticTraceEnum_ELBO
from minvae_pyro.probability.handlers import condition_alpha, plates_around
from minvae_pyro.registry.build import make
from minvae_pyro.registry.names import subclasses
from minvae_pyro.utterances import Utterances

PRIORS = ("a-vae", "v-vae", "av-vae", "av-cvae", "min-vae", "min-vae-published", "min-vae-v2", "vae-mm")
CHAINED = ("sw-vae",)  # its alpha is a chain, which Pyro's own enumeration refuses
DYNAMIC = ("a-dkf", "av-dkf")
MIXTURES = ("min-vae", "min-vae-published", "min-vae-v2", "vae-mm", "sw-vae")
ELBOS: tuple[Any, ...] = (TraceEnum_ELBO, AnalyticTraceEnum_ELBO)
CASES = [
    (name, elbo) for name in (*PRIORS, *CHAINED, *DYNAMIC) for elbo in ELBOS if name != "sw-vae" or elbo is ELBOS[1]
]
TEST_TIME = sorted(subclasses(UtteranceGuide))


@cache
def pair(name: str) -> tuple[Any, Any]:
    """Prior and guide of shipped weights, in double precision; a rule for q(alpha) that asks the prior for evidence."""
    checkpoint = load_checkpoint(name)
    prior, guide = checkpoint.prior.double().eval(), checkpoint.guide.double().eval()
    if isinstance(guide, MixtureGuide):
        guide.responsibility = CollapsedResponsibility()
    return prior, guide


def recordings(size: int = 2, frames: int = 3, gaps: bool = True) -> Utterances:
    """Power with a frame without a mouth and one of padding."""
    generator = torch.Generator().manual_seed(4)
    power = torch.rand(size, frames, 513, generator=generator, dtype=torch.float64).square()
    batch = Utterances.from_spectrum(power, torch.rand(size, frames, 67, 67, generator=generator, dtype=torch.float64))
    if gaps:
        batch.mouth_seen[0, 1] = False
        batch.mask[-1, -1] = batch.mouth_seen[-1, -1] = False
    return batch


@pytest.fixture
def alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """All standard normal numbers are the same along all axes but the last three."""

    def numbers(shape: Any, *rest: Any, dtype: torch.dtype | None = None, **_: Any) -> Tensor:
        tail = torch.Size(shape)[-3:]
        generator = torch.Generator().manual_seed(7)
        # a checkpoint that is loaded meanwhile is tried in single precision
        asked = dtype or next((one.dtype for one in rest if isinstance(one, Tensor)), torch.float64)
        return torch.empty(tail, dtype=torch.float64).normal_(generator=generator).to(asked).expand(torch.Size(shape))

    monkeypatch.setattr("torch.distributions.normal._standard_normal", numbers)
    for module in ("normals.normal", "gauss_markov.normal", "gauss_markov.torch.randn"):
        monkeypatch.setattr(f"minvae_pyro.probability.{module}", numbers)


class Around:
    """Model and guide within plates, from the left, and beside sites of a user's own.

    Args:
        plates: sizes of the plates of dim -3, -4 and so on.
        before: whether there is a site of the user's own before, enumerated.
        after: the same behind.
        inside: whether these sites live in plates over utterances and frames, as one behind has to.
    """

    def __init__(
        self, plates: tuple[int, ...] = (), before: bool = False, after: bool = False, inside: bool = False
    ) -> None:
        self.plates, self.before, self.after, self.inside = plates, before, after, inside

    def wrapped(self, program: Any, is_guide: bool) -> Callable[[Utterances], None]:
        def run(batch: Utterances) -> None:
            with ExitStack() as stack:
                for number, size in enumerate(self.plates):
                    stack.enter_context(pyro.plate(f"copies{number}", size, dim=-3 - number))
                if self.before:
                    self._own("before", is_guide, batch)
                program(batch)
                if self.after:
                    self._own("after", is_guide, batch)

        return run

    def _own(self, name: str, is_guide: bool, batch: Utterances) -> None:
        with ExitStack() as stack:
            if self.inside:
                stack.enter_context(pyro.plate(f"{name}1", len(batch), dim=-2))
                stack.enter_context(pyro.plate(f"{name}2", batch.frames, dim=-1))
            weight = torch.tensor(0.2 if is_guide else 0.6, dtype=torch.float64)
            value = pyro.sample(name, dist.Bernoulli(weight), infer={"enumerate": "parallel"} if is_guide else {})
            if not is_guide:
                pyro.sample(f"{name}_seen", dist.Normal(3 * value, 1.0), obs=torch.tensor(1.0, dtype=torch.float64))

    def expected(self, reference: float, batch: Utterances) -> float:
        """The loss of it all, from that of model and guide alone."""
        likelihood = dist.Normal(torch.tensor([0.0, 3.0]).double(), 1.0).log_prob(torch.tensor(1.0).double())
        prior, posterior = (torch.tensor([1 - p, p], dtype=torch.float64) for p in (0.6, 0.2))
        own = -float((posterior * (likelihood + prior.log() - posterior.log())).sum())
        count = (self.before + self.after) * (batch.mask.numel() if self.inside else 1)
        return math.prod(self.plates) * (reference + count * own)


def loss(elbo: Any, prior: Any, guide: Any, batch: Utterances, around: Around | None = None, **settings: Any) -> float:
    around = around or Around()
    settings = {"max_plate_nesting": 2 + len(around.plates), "strict_enumeration_warning": False, **settings}
    return elbo(**settings).loss(around.wrapped(prior, False), around.wrapped(guide, True), batch)


PROGRAMS: dict[str, tuple[Around, dict[str, Any]]] = {
    "two particles": (Around(), {"num_particles": 2}),
    "two particles side by side": (Around(), {"num_particles": 2, "vectorize_particles": True}),
    "three particles side by side": (Around(), {"num_particles": 3, "vectorize_particles": True}),
    "more plates than there are": (Around(), {"max_plate_nesting": 5}),
    "particles, more plates": (
        Around(),
        {"max_plate_nesting": 3, "num_particles": 2, "vectorize_particles": True},
    ),
    "plates guessed": (Around((2,)), {"max_plate_nesting": float("inf")}),
    "a plate of one": (Around((1,)), {}),
    "a plate of two": (Around((2,)), {}),
    "two plates": (Around((3, 2)), {}),
    "a plate of one in one of two, particles": (Around((1, 2)), {"num_particles": 3, "vectorize_particles": True}),
    "a site before": (Around(before=True), {}),
    "a site after": (Around(after=True, inside=True), {}),
    "sites before and after in the frames": (Around(before=True, after=True, inside=True), {}),
    "all of it": (
        Around((2,), before=True, after=True, inside=True),
        {"max_plate_nesting": 4, "num_particles": 2, "vectorize_particles": True},
    ),
}


@pytest.mark.usefixtures("alike")
@pytest.mark.parametrize(("name", "elbo"), CASES)
def test_a_loss_in_training_is_the_same_in_every_program(name: str, elbo: Any) -> None:
    prior, guide = pair(name)
    batch = recordings()
    reference = loss(elbo, prior, guide, batch)
    for program, (around, settings) in PROGRAMS.items():
        found = loss(elbo, prior, guide, batch, around, **settings)
        assert found == pytest.approx(around.expected(reference, batch), rel=1e-10), program


@pytest.mark.usefixtures("alike")
@pytest.mark.parametrize("kind", TEST_TIME)
@pytest.mark.parametrize("name", ["a-vae", "min-vae", "min-vae-s1", "vae-mm", "sw-vae", "av-dkf"])
def test_a_loss_on_a_noisy_recording_is_the_same_in_every_program(name: str, kind: str) -> None:
    if name in MIXTURES and pair(name)[0].reach and subclasses(UtteranceGuide)[kind].z_by_alpha:
        with pytest.raises(UserError, match="holds a z for each alpha"):
            started(name, kind, recordings())
        return
    mixture, guide, batch = started(name, kind, recordings())
    for elbo in ELBOS if name != "sw-vae" else ELBOS[1:]:
        reference = loss(elbo, mixture, guide, batch)
        for program, (around, settings) in PROGRAMS.items():
            if kind == "PyroGuide" and around.inside:
                continue  # it scores padding for whole recordings, which Pyro wants before sites within plates
            found = loss(elbo, mixture, guide, batch, around, **settings)
            assert found == pytest.approx(around.expected(reference, batch), rel=1e-10), (elbo, program)


def started(name: str, kind: str, batch: Utterances) -> tuple[Any, Any, Utterances]:
    """A noisy mixture, a guide that has started on it, and the recordings."""
    prior, encoders = pair(name)
    batch = batch.replace(spectrum=torch.polar(batch.power.sqrt(), batch.power))
    with torch.no_grad():
        begin = encoders.encode_audio(batch)
        given = prior.condition_on(batch)
        noise = NMFNoise(2).start(batch, torch.Generator().manual_seed(0))
        mixture = NoisyMixture(given, noise, torch.ones(len(batch), 1, 1, dtype=torch.float64))
        made = ParticleGuide(chains=1) if kind == "ParticleGuide" else make(UtteranceGuide, kind, "guide")
        guide = made.start(given, batch, begin, encoders)
        guide.update_alpha(mixture, batch)
    return mixture, guide, batch


def gradient(elbo: Any, name: str, rule: Any, around: Around, **settings: Any) -> dict[str, Tensor]:
    prior, guide = pair(name)
    own, guide.responsibility = guide.responsibility, rule
    settings = {"max_plate_nesting": 2 + len(around.plates), **settings}
    try:
        value = elbo(**settings).differentiable_loss(
            around.wrapped(prior, False), around.wrapped(guide, True), recordings()
        )
        named = {f"{n} {key}": p for n, part in enumerate((prior, guide)) for key, p in part.named_parameters()}
        found = torch.autograd.grad(value, list(named.values()), allow_unused=True)
    finally:
        guide.responsibility = own
    return {key: g for key, g in zip(named, found, strict=True) if g is not None}


class UnknownLevel:
    """A user's own model: each frame is loud or not, which is summed out in the model, or by hand."""

    def __init__(self, prior: Any, by_hand: bool) -> None:
        self.prior, self.by_hand = prior, by_hand

    def __call__(self, batch: Utterances) -> None:
        plates, loud = batch.plates(), dist.Bernoulli(torch.tensor(0.3, dtype=torch.float64))
        level = torch.tensor(1.0, dtype=torch.float64)
        if not self.by_hand:
            with plates.every_frame():
                level = 1 + 3 * pyro.sample("loud", loud, infer={"enumerate": "parallel"})
        latent = self.prior.latent(batch, plates)
        variance = self.prior.speech_variance(latent, batch)
        with plates.every_frame():
            if self.by_hand:
                scores = [
                    spectral_likelihood(batch, factor * variance).log_prob(batch.spectrum) + math.log(share)
                    for factor, share in ((1.0, 0.7), (4.0, 0.3))
                ]
                pyro.factor("s", torch.stack(scores).logsumexp(0))
            else:
                pyro.sample("s", spectral_likelihood(batch, level[..., None] * variance), obs=batch.spectrum)


@pytest.mark.usefixtures("alike")
@pytest.mark.parametrize("elbo", ELBOS)
@pytest.mark.parametrize("name", ["a-vae", *MIXTURES])
def test_a_site_of_the_model_alone_is_summed_out_beside_alpha(name: str, elbo: Any) -> None:
    if name == "sw-vae" and elbo is TraceEnum_ELBO:
        return
    prior, guide = pair(name)
    batch = recordings()
    apart, rules = [], [FixedResponsibility(0.3)] + ([CollapsedResponsibility()] if elbo is TraceEnum_ELBO else [])
    own = getattr(guide, "responsibility", None)
    for rule in rules:
        if own is not None:
            guide.responsibility = rule
        found, expected = (loss(elbo, UnknownLevel(prior, by_hand), guide, batch) for by_hand in (False, True))
        apart.append(abs(found / expected - 1))
        side_by_side = loss(
            elbo, UnknownLevel(prior, False), guide, batch, Around((2,)), num_particles=3, vectorize_particles=True
        )
        assert side_by_side == pytest.approx(2 * found, rel=1e-10)
    if own is not None:
        guide.responsibility = own
        # a bound of the same height whatever q(alpha), that of the prior alone included
        assert math.isfinite(loss(elbo, UnknownLevel(prior, False), guide, batch))
    assert max(apart) < 1e-10


@pytest.mark.usefixtures("alike")
@pytest.mark.parametrize("name", MIXTURES)
def test_gradients_are_the_same_in_every_program(name: str) -> None:
    for rule in (CollapsedResponsibility(), FixedResponsibility(0.3), TableResponsibility(2, 3, 0.3).eval()):
        for elbo in ELBOS if name != "sw-vae" else ELBOS[1:]:
            reference = gradient(elbo, name, rule, Around())
            particles = gradient(elbo, name, rule, Around(), num_particles=2, vectorize_particles=True)
            beside = gradient(elbo, name, rule, Around(before=True, inside=True))
            twice = {key: g / 2 for key, g in gradient(elbo, name, rule, Around((2,))).items()}
            for found in (particles, beside, twice):
                torch.testing.assert_close(found, reference, rtol=1e-8, atol=1e-9)


@pytest.mark.usefixtures("alike")
def test_a_table_is_prepared_by_the_mean_over_particles() -> None:
    prior, guide = pair("min-vae-published")
    own, tables = guide.responsibility, [TableResponsibility(2, 3, 0.3).double().train() for _ in range(2)]
    try:
        for table, particles in zip(tables, (1, 3), strict=True):
            guide.responsibility = table
            loss(ELBOS[1], prior, guide, recordings(), num_particles=particles, vectorize_particles=True)
            table.refresh()
    finally:
        guide.responsibility = own
    torch.testing.assert_close(tables[1].logit, tables[0].logit)
    assert (tables[0].logit != FixedResponsibility(0.3)(recordings(), None)).any()  # type: ignore[arg-type]


def assignments(batch: Utterances) -> Iterator[Tensor]:
    """All values of alpha, (B, N)."""
    for values in product((0.0, 1.0), repeat=batch.mask.numel()):
        yield torch.tensor(values, dtype=torch.float64).reshape(batch.mask.shape)


def drawn(program: Any, alpha: Tensor, batch: Utterances) -> Any:
    """A run in which alpha is drawn and happens to have this value."""
    known = poutine.trace(lambda: pyro.sample("alpha", dist.Delta(alpha))).get_trace()
    trace = poutine.trace(poutine.replay(program, trace=known)).get_trace(batch)
    trace.compute_log_prob()
    return trace


@pytest.mark.usefixtures("alike")
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", MIXTURES)
def test_alpha_that_is_drawn_gives_on_average_what_enumeration_gives(name: str, training: bool) -> None:
    batch = recordings(1, gaps=False)
    if training:
        prior, guide = pair(name)
        elbo: Any = TraceEnum_ELBO
    else:  # without a divergence of z, which one of the bounds knows in closed form
        prior, guide, batch = started(name, "PointGuide", batch)
        elbo = AnalyticTraceEnum_ELBO
    if training and name == "sw-vae":
        with pytest.raises(NotImplementedError, match="use AnalyticTraceEnum_ELBO"):
            loss(elbo, prior, guide, batch)
        return
    expected = total = 0.0
    for alpha in assignments(batch):
        guide_trace = drawn(guide, alpha, batch)
        model_trace = poutine.trace(poutine.replay(prior, trace=guide_trace)).get_trace(batch)
        probability = guide_trace.nodes["alpha"]["log_prob"].sum().exp().item()
        expected -= probability * (model_trace.log_prob_sum() - guide_trace.log_prob_sum()).item()
        total += probability
    assert total == pytest.approx(1.0)
    assert loss(elbo, prior, guide, batch) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("name", MIXTURES)
def test_particles_are_drawn_by_themselves_and_z_where_alpha_says(name: str) -> None:
    prior, guide = pair(name)
    batch = recordings(frames=2, gaps=False)
    kinds = ["SmoothedGuide"] if prior.reach else ["MixtureUtteranceGuide", "SmoothedGuide"]
    programs = [guide, *(started(name, kind, batch)[1] for kind in kinds)]
    for program in programs:
        pyro.clear_param_store()
        with pyro.plate("particles", 40, dim=-4):
            nodes = poutine.trace(program).get_trace(batch).nodes
        assert nodes["alpha"]["value"].shape == (40, 1, *batch.mask.shape)
        assert nodes["z"]["value"].shape == (40, 1, *batch.mask.shape, prior.latent_dim)
        assert len(nodes["z"]["value"][:, 0, 0, 0, 0].unique()) == 40
    walk = ParticleGuide(chains=4)
    walk.set_particles(torch.arange(4.0)[:, None, None, None].expand(4, *batch.mask.shape, 1))
    with pyro.plate("particles", 60, dim=-3):
        picked = poutine.trace(walk).get_trace(batch).nodes["z"]["value"]
    assert picked[:, 0, 0, 0].unique().tolist() == [0, 1, 2, 3]
    assert (picked == picked[:, :1, :1]).all()  # frames belong together


@pytest.mark.usefixtures("alike")
@pytest.mark.parametrize("name", MIXTURES)
def test_parallel_predictions_are_those_of_single_runs(name: str) -> None:
    prior, guide = pair(name)
    batch = recordings()
    torch.manual_seed(0)
    found = Predictive(guide, num_samples=3, parallel=True, return_sites=("alpha", "z"))(batch)
    assert found["alpha"].shape == (3, *batch.mask.shape)
    for alpha, z in zip(found["alpha"], found["z"], strict=True):
        single = drawn(guide, alpha, batch).nodes["z"]["value"]
        torch.testing.assert_close(z, single, rtol=1e-12, atol=1e-12)
    # and through the prior, whose sound is then drawn as well
    speech = Predictive(poutine.uncondition(prior), guide=guide, num_samples=3, parallel=True)(batch)
    assert speech["s"].shape == (3, *batch.power.shape)
    assert speech["s"].isfinite().all()


@pytest.mark.parametrize("name", ["min-vae", "min-vae-published", "min-vae-v2", "vae-mm"])
def test_discrete_inference_finds_the_posterior_of_alpha(name: str) -> None:
    prior, guide = pair(name)
    batch = recordings()
    with torch.no_grad():
        z = guide.encode_audio(batch)[0]
        each = []
        for value in (0.0, 1.0):
            data = {"alpha": torch.full(batch.mask.shape, value, dtype=torch.float64), "z": z}
            trace = poutine.trace(poutine.condition(prior, data)).get_trace(batch)
            trace.compute_log_prob()
            each.append(sum(trace.nodes[site]["log_prob"] for site in ("alpha", "z", "s")))
        odds = each[1] - each[0]
        enumerated = poutine.infer_config(
            poutine.condition(prior, {"z": z}),
            lambda site: {"enumerate": "parallel"} if site["name"] == "alpha" else {},
        )
        for dim in (-3, -5):
            best = poutine.trace(infer_discrete(enumerated, first_available_dim=dim, temperature=0)).get_trace(batch)
            value = best.nodes["alpha"]["value"]
            assert torch.equal(value[batch.mask], (odds > 0).double()[batch.mask])

        def copies(batch: Utterances) -> None:
            with pyro.plate("copies", 400, dim=-3):
                enumerated(batch)

        draws = poutine.trace(infer_discrete(copies, first_available_dim=-4, temperature=1)).get_trace(batch)
        mean = draws.nodes["alpha"]["value"].mean(0)
        probability = odds.sigmoid()
        error = (probability * (1 - probability) / 400).sqrt()
        assert ((mean - probability).abs() <= 4.5 * error + 1e-9)[batch.mask].all()


@pytest.mark.usefixtures("alike")
@pytest.mark.parametrize("name", ["a-vae", "v-vae", "av-vae", "av-cvae", "a-dkf", "av-dkf"])
def test_bounds_of_priors_without_alpha_agree(name: str) -> None:
    prior, guide = pair(name)
    batch = recordings()
    analytic, sampled = (loss(elbo, prior, guide, batch) for elbo in (AnalyticTraceEnum_ELBO, TraceEnum_ELBO))
    side_by_side = {"num_particles": 3, "vectorize_particles": True}
    assert loss(Trace_ELBO, prior, guide, batch, **side_by_side) == pytest.approx(sampled, rel=1e-10)
    # all weights of a particle filter that draws one and the same are alike
    assert loss(RenyiELBO, prior, guide, batch, alpha=0.5, **side_by_side) == pytest.approx(sampled, rel=1e-10)
    expected = sampled if name == "a-dkf" else analytic
    found = loss(TraceMeanField_ELBO, prior, guide, batch, **side_by_side)
    assert found == pytest.approx(expected, rel=1e-10) or name.endswith("dkf")


@pytest.mark.usefixtures("alike")
@pytest.mark.parametrize("kind", [AutoNormal, AutoDelta])
@pytest.mark.parametrize("name", ["a-vae", "min-vae", "vae-mm", "a-dkf"])
def test_pyros_own_guides_get_the_same_bound_from_both(name: str, kind: Any) -> None:
    """alpha is then summed out in the model, where a mean of logarithms would be no bound of the same height."""
    prior, _ = pair(name)
    batch = recordings()
    enumerated = poutine.infer_config(prior, lambda site: {"enumerate": "parallel"} if site["name"] == "alpha" else {})
    guide = kind(poutine.block(prior, hide=["alpha"]))
    values = []
    for elbo in ELBOS:
        for around in (Around(), Around((2,))):
            wrapped = enumerated if not around.plates else around.wrapped(enumerated, False)
            posterior = guide if not around.plates else kind(poutine.block(wrapped, hide=["alpha"]))
            settings = {"max_plate_nesting": 2 + len(around.plates), "strict_enumeration_warning": False}
            values.append(elbo(**settings).loss(wrapped, posterior, batch))
    assert values[0] == pytest.approx(values[2], rel=1e-10)
    assert values[1] == pytest.approx(values[3], rel=1e-10)


@pytest.mark.usefixtures("alike")
@pytest.mark.parametrize("name", MIXTURES)
def test_known_alpha_reaches_all_particles(name: str) -> None:
    prior, guide = pair(name)
    batch = recordings()
    for value in (0, 1):
        with condition_alpha(value):
            one = loss(AnalyticTraceEnum_ELBO, prior, guide, batch)
            several = loss(
                AnalyticTraceEnum_ELBO, prior, guide, batch, Around((2,)), num_particles=3, vectorize_particles=True
            )
        assert several == pytest.approx(2 * one, rel=1e-10)


def test_plates_around_are_those_left_of_the_frames() -> None:
    found = []
    with pyro.plate("draws", 5, dim=-5), pyro.plate("takes", 2, dim=-3), recordings().plates().every_frame():
        found.append(plates_around())
        for _ in pyro.plate("one after the other", 3):
            found.append(plates_around())
    assert found == [torch.Size([5, 1, 2])] * 4
    assert plates_around() == ()
