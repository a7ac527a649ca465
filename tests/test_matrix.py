"""Any speech prior x any noise model x any posterior at test time: trained, run, stored, read back, differentiated.

Priors, noise models and guides are those that the package has: one that is added and not described here fails.
"""

from collections.abc import Callable
from typing import Any

import pyro
import pytest
import torch
from torch import Tensor, nn

from minvae_pyro import guides
from minvae_pyro.checkpoints.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from minvae_pyro.guides import UtteranceGuide
from minvae_pyro.inference import Inference, StochasticVariational, infer
from minvae_pyro.inference.fast import CompiledBound, compiled
from minvae_pyro.inference.settings import ENGINES
from minvae_pyro.models import NoiseModel, NoisyMixture, SpeechPrior
from minvae_pyro.probability.elbo import AnalyticTraceEnum_ELBO
from minvae_pyro.probability.parameters import local_parameters
from minvae_pyro.registry.build import build, make
from minvae_pyro.registry.names import subclasses
from minvae_pyro.synthetic.corpus import SyntheticCorpus
from minvae_pyro.training.plan import TrainingPlan
from minvae_pyro.utterances import Utterances, concatenate

MOUTH = {"class_path": "MouthConvolution", "init_args": {"channels": [4, 4, 4], "features": 8}}
SIGHT = {"class_path": "MouthFeatures", "init_args": {"network": MOUTH}}
SEEN = {"class_path": "MouthEncoder", "init_args": {"network": MOUTH}}
FIXED = {"responsibility": "FixedResponsibility"}


def described(prior: str, guide: str, prior_arguments: Any = None, guide_arguments: Any = None) -> dict[str, Any]:
    return {
        "prior": {"class_path": prior, "init_args": prior_arguments or {}},
        "guide": {"class_path": guide, "init_args": guide_arguments or {}},
    }


def fusion(**sizes: int) -> dict[str, Any]:
    return {"class_path": "Fusion", "init_args": sizes}


PAIR = {"visual": {"class_path": "ConditionalVAE", "init_args": {"visual_features": SIGHT}}}
PRIORS = {
    "A-VAE": described("AudioVAE", "AudioGuide"),
    "V-VAE": described("VisualVAE", "VisualGuide", None, {"visual": SEEN}),
    "AV-VAE": described("AudioVisualVAE", "AudioVisualGuide", {"visual_features": SIGHT}),
    "AV-CVAE": described("ConditionalVAE", "AudioVisualGuide", {"visual_features": SIGHT}),
    "MIN-VAE": described("MinVAE", "MixtureGuide", None, {"visual": SEEN, **FIXED}),
    "MIN-VAE, perceptron": described(
        "MinVAE",
        "MixtureGuide",
        None,
        {"visual": {"class_path": "MouthEncoder", "init_args": {"network": "MouthPerceptron"}}, **FIXED},
    ),
    "MIN-VAE v2": described("MinVAEv2", "SharedGuide", None, FIXED),
    "MIN-VAE, conditional": described("ConditionalMinVAE", "SharedGuide", {"network": MOUTH}, FIXED),
    "MIN-VAE, gate": described(
        "ConditionalMinVAE", "SharedGuide", {"network": MOUTH}, {"responsibility": "GatedResponsibility"}
    ),
    "VAE-MM": described("MixtureOfVAEs", "TwoVAEsGuide", PAIR, FIXED),
    "VAE-MM, visual encoder": described("MixtureOfVAEs", "MixtureGuide", PAIR, {"visual": SEEN, **FIXED}),
    "SwVAE": described("SwitchingVAE", "TwoVAEsGuide", PAIR, FIXED),
    "A-DKF": described("DeepKalmanFilter", "RecurrentGuide"),
    "A-DKF, structured": described("DeepKalmanFilter", "StructuredGuide"),
    "AV-DKF": described(
        "DeepKalmanFilter",
        "RecurrentGuide",
        {
            "visual_features": SIGHT,
            "transition": {"class_path": "GatedTransition", "init_args": {"fusion": fusion(size=32, output=16)}},
            "decoder": {"class_path": "DeepDecoder", "init_args": {"fusion": fusion(size=128, output=128)}},
        },
    ),
}
NOISES: dict[str, Any] = {
    **{name: name for name in subclasses(NoiseModel)},
    "FrozenNoise": {"class_path": "FrozenNoise", "init_args": {"noise": "NMFNoise"}},
}
GUIDES = list(subclasses(UtteranceGuide))
NOTHING_BURNT = {name: {"burn_in": 0} for name in ("mcem", "langevin")}
STEPS = 12


def test_no_prior_and_no_training_guide_is_left_out() -> None:
    names = {one["prior"]["class_path"] for one in PRIORS.values()}
    assert names == {name for name in subclasses(SpeechPrior) if name not in {"FeaturePrior", "LookingPrior"}}
    training = {name for name in guides.__all__ if hasattr(getattr(guides, name), "gate_logits")}
    assert {one["guide"]["class_path"] for one in PRIORS.values()} == training


@pytest.fixture(scope="module")
def corpus() -> SyntheticCorpus:
    return SyntheticCorpus(utterances=4, seconds=1.0, first_seed=40)


@pytest.fixture(scope="module")
def noisy(corpus: SyntheticCorpus) -> Callable[[int], Utterances]:
    """Makes a batch of two noisy utterances, of so many frames and of two thirds of them."""

    def make_batch(frames: int) -> Utterances:
        generator = torch.Generator().manual_seed(1)
        clean = [_repeated(corpus.load(row), length) for row, length in ((0, frames), (1, max(1, 2 * frames // 3)))]
        batch = concatenate(clean)
        phase = torch.rand(batch.power.shape, generator=generator) * 2 * torch.pi
        noise = 0.3 * torch.randn(2, *batch.power.shape, generator=generator)
        spectrum = torch.polar(batch.power.sqrt(), phase) + torch.complex(noise[0], noise[1])
        spectrum = spectrum * batch.mask[..., None]
        return batch.replace(spectrum=spectrum, noisy_power=spectrum.abs().square())

    return make_batch


def _repeated(whole: Utterances, frames: int) -> Utterances:
    """The first frames of an utterance, from the start again when they are too few."""
    index = torch.arange(frames) % whole.frames
    power, mouth, seen = (part[:, index] for part in (whole.power, whole.mouth, whole.mouth_seen))
    return Utterances.from_spectrum(power, mouth, seen)


@pytest.fixture(scope="module")
def trained(corpus: SyntheticCorpus, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Any, ...]]:
    """Trains a prior for some steps, once; gives the losses before and after, what was trained, and its file."""
    done: dict[str, tuple[Any, ...]] = {}
    folder = tmp_path_factory.mktemp("matrix")

    def train(name: str) -> tuple[Any, ...]:
        if name not in done:
            torch.manual_seed(3)
            plan = TrainingPlan(*build(PRIORS[name]))
            clean = concatenate([corpus.load(row) for row in range(4)])
            before = _loss(plan, clean)
            adam = torch.optim.Adam(plan.parameters(), lr=2e-3)
            plan.train()
            for _ in range(STEPS):
                adam.zero_grad()
                plan(clean).backward()
                nn.utils.clip_grad_norm_(plan.parameters(), 100.0)
                adam.step()
            after = _loss(plan.eval(), clean)
            path = save_checkpoint(
                folder / f"{len(done)}.safetensors", plan.prior, plan.guide, PRIORS[name], corpus.stft
            )
            kept = Checkpoint(plan.prior, plan.guide, corpus.stft, {}, {})
            done[name] = before, after, kept, load_checkpoint(path)
        return done[name]

    return train


def _loss(plan: TrainingPlan, clean: Utterances) -> float:
    torch.manual_seed(0)
    with torch.no_grad():
        return float(plan.eval()(clean))


def enhanced(checkpoint: Checkpoint, batch: Utterances, noise: Any, guide: Any, iterations: int = 2) -> Inference:
    engine = StochasticVariational(iterations=iterations, steps=1)
    return infer(checkpoint, batch, engine=engine, noise=noise, guide=guide, seed=1)


@pytest.mark.parametrize("name", PRIORS)
def test_training_lowers_the_loss(name: str, trained: Any) -> None:
    before, after, *_ = trained(name)
    assert after < before - 10.0  # nats a frame


@pytest.mark.parametrize("guide", GUIDES)
@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("name", PRIORS)
def test_every_combination_enhances_alike_after_storage(
    name: str, noise: str, guide: str, trained: Any, noisy: Any
) -> None:
    _, _, kept, loaded = trained(name)
    batch = noisy(20)
    one, other = (enhanced(checkpoint, batch, NOISES[noise], guide) for checkpoint in (kept, loaded))
    assert torch.equal(one.gain, other.gain)
    assert one.objective == other.objective
    inside = one.gain[batch.mask]
    assert inside.isfinite().all()
    assert ((inside >= 0) & (inside <= 1)).all()
    assert inside.std() > 0


@pytest.mark.parametrize("guide", GUIDES)
@pytest.mark.parametrize("name", PRIORS)
def test_any_length_with_and_without_video(name: str, guide: str, trained: Any, noisy: Any) -> None:
    checkpoint = trained(name)[-1]
    for frames in (1, 2, 64):
        for batch in (noisy(frames), noisy(frames).without_mouth()):
            found = enhanced(checkpoint, batch, "NMFNoise", guide, iterations=1)
            assert found.gain.shape == batch.spectrum.shape
            assert found.gain[batch.mask].isfinite().all()
            trust = found.audio_responsibility
            if trust is not None and not batch.mouth_seen.any():
                assert (trust[batch.mask] > 0.999).all()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", PRIORS)
def test_every_engine_runs_with_every_prior(name: str, engine: str, trained: Any, noisy: Any) -> None:
    few = {"class_path": engine, "init_args": {"iterations": 2, "steps": 1, **NOTHING_BURNT.get(engine, {})}}
    for frames in (1, 20):
        batch = noisy(frames)
        found = infer(trained(name)[-1], batch, engine=few)
        assert torch.tensor(found.objective).isfinite().all()
        assert ((found.gain >= 0) & (found.gain <= 1 + 1e-6))[batch.mask].all()


def slope(loss: Callable[[], Tensor], parameters: list[Tensor], step: float = 1e-5) -> tuple[float, float]:
    """The derivative along a random direction: by automatic and by finite differences."""
    generator = torch.Generator().manual_seed(5)
    directions = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in parameters]
    gradients = torch.autograd.grad(loss(), parameters, allow_unused=True)
    used = [(p, d, g) for p, d, g in zip(parameters, directions, gradients, strict=True) if g is not None]
    assert used
    automatic = sum(float((d * g).sum()) for _, d, g in used)
    values = []
    with torch.no_grad():
        for sign in (1, -2):
            for p, d, _ in used:
                p.add_(sign * step * d)
            with torch.enable_grad():
                values.append(float(loss().detach()))
        for p, d, _ in used:
            p.add_(step * d)
    return automatic, (values[0] - values[1]) / (2 * step)


def untrained(name: str, guide: str, noise: str, gain: list[float], batch: Utterances) -> tuple[Any, NoisyMixture]:
    """A started guide and its mixture, in double precision."""
    torch.manual_seed(0)
    made: Any = [part.double().eval() for part in build(PRIORS[name])]
    prior, encoders = made
    with torch.no_grad():
        begin = encoders.encode_audio(batch)
    given = prior.condition_on(batch)
    fitted = make(UtteranceGuide, guide, "guide").start(given, batch, begin, encoders)
    started = make(NoiseModel, noise, "noise").start(batch, torch.Generator().manual_seed(0))
    return fitted, NoisyMixture(given, started, torch.tensor(gain, dtype=torch.float64)[:, None, None])


@pytest.mark.parametrize("guide", GUIDES)
@pytest.mark.parametrize("name", PRIORS)
def test_gradients_at_test_time_are_right(name: str, guide: str, noisy: Any) -> None:
    batch = noisy(6).to(torch.float64)
    fitted, mixture = untrained(name, guide, "NMFNoise", [1.0, 1.0], batch)
    elbo = AnalyticTraceEnum_ELBO(max_plate_nesting=2)

    def loss() -> Tensor:
        torch.manual_seed(7)
        with pyro.validation_enabled(False), local_parameters(mixture, fitted):
            return elbo.differentiable_loss(mixture, fitted, batch)

    automatic, finite = slope(loss, [p for p in fitted.parameters() if p.requires_grad])
    assert automatic == pytest.approx(finite, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("guide", ["MeanFieldGuide", "MixtureUtteranceGuide", "PatientMixtureGuide"])
@pytest.mark.parametrize("name", PRIORS)
def test_the_compiled_bound_is_the_traced_one(name: str, guide: str, noisy: Any) -> None:
    batch = noisy(6).to(torch.float64)
    fitted, mixture = untrained(name, guide, "BayesianNMFNoise", [0.7, 1.6], batch)
    elbo = AnalyticTraceEnum_ELBO(max_plate_nesting=2)
    with pyro.validation_enabled(False), local_parameters(mixture, fitted):
        parts = compiled(mixture, fitted, batch)
        if type(mixture.speech).__name__ == "DeepKalmanFilter":
            assert parts is None  # z follows from itself
            return
        assert parts is not None
        bound = CompiledBound(mixture, fitted, batch, parts)
        parameters = [p for p in fitted.parameters() if p.requires_grad]
        for _ in range(2):  # the second time with another pi
            torch.manual_seed(7)
            traced = -elbo.differentiable_loss(mixture, fitted, batch)
            torch.manual_seed(7)
            value = bound.step(mixture.noise(batch), bound.weight).value
            slopes = [torch.autograd.grad(one, parameters) for one in (traced, value)]
            torch.testing.assert_close(value + bound.rest(), traced, rtol=1e-12, atol=0)
            torch.testing.assert_close(*slopes, rtol=1e-9, atol=1e-12)
            bound.update_alpha(1.0)


@pytest.mark.parametrize("name", PRIORS)
def test_gradients_in_training_are_right(name: str, corpus: SyntheticCorpus) -> None:
    torch.manual_seed(0)
    prior, guide = (part.double().eval() for part in build(PRIORS[name]))
    plan = TrainingPlan(prior, guide)  # type: ignore[arg-type]
    clean = concatenate([_repeated(corpus.load(0), 6), _repeated(corpus.load(1), 4)]).to(torch.float64)

    def loss() -> Tensor:
        torch.manual_seed(7)
        return plan(clean)

    automatic, finite = slope(loss, [p for p in plan.parameters() if p.requires_grad], step=1e-6)
    assert automatic == pytest.approx(finite, rel=1e-4, abs=1e-4)
