"""The one call from checkpoint to gain, and the names that it understands."""

import copy
import inspect
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from minvae_pyro.checkpoints.checkpoint import load_checkpoint
from minvae_pyro.enhancement.enhance import enhance
from minvae_pyro.errors import UserError
from minvae_pyro.guides import AmortisedGuide, MeanFieldGuide, MixtureUtteranceGuide, PointGuide, SmoothedGuide
from minvae_pyro.guides.test_time.starts import STARTS
from minvae_pyro.inference import (
    FastVariational,
    Inference,
    InferenceEngine,
    StochasticVariational,
    VariationalEM,
    infer,
)
from minvae_pyro.inference.admission import admit
from minvae_pyro.inference.settings import DEFAULT_ENGINE, ENGINES, Settings
from minvae_pyro.models import FrozenNoise, MinVAE, NMFNoise
from minvae_pyro.nn.cached import Precomputed
from minvae_pyro.nn.visual import MouthConvolution, MouthPerceptron
from minvae_pyro.utterances import Utterances


class Quick(StochasticVariational):
    """An engine of one's own."""

    def __init__(self) -> None:
        super().__init__(iterations=2)


def standing_still(prior: Any, encoders: Any, utterances: Any, trust: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """A start of one's own."""
    mean = torch.full((*utterances.mask.shape, 3), 0.5, dtype=torch.float64)
    return mean, torch.ones_like(mean)


class NoFit(InferenceEngine):
    """An engine that leaves everything as it finds it, and remembers it."""

    def run(self, mixture: Any, guide: Any, utterances: Any) -> Iterator[float]:
        self.mean = guide.mean.detach().clone()
        self.given = not guide.update_alpha(mixture, utterances)
        self.pi = mixture.speech.alpha_prior(utterances).mean if isinstance(mixture.speech, MinVAE) else None
        return iter(())


@pytest.mark.parametrize("mixture", [True, False])
@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("engine", [StochasticVariational(iterations=3), VariationalEM(iterations=3)])
def test_every_prior_start_and_engine_go_together(
    noisy: Any, engine: InferenceEngine, start: str, mixture: bool
) -> None:
    batch = noisy.batch(2, 4)
    batch.mask[1, 3] = batch.mouth_seen[1, 3] = False
    found = infer(noisy.checkpoint(mixture), batch, engine=engine, start=start)
    assert found.gain.shape == batch.power.shape
    assert ((found.gain >= 0) & (found.gain <= 1)).all()
    assert len(found.objective) == 3
    if mixture:
        assert found.audio_responsibility is not None
        assert found.audio_responsibility.shape == (2, 4)
        assert not found.audio_responsibility.requires_grad
        assert ((found.audio_responsibility >= 0) & (found.audio_responsibility <= 1)).all()
    else:
        assert found.audio_responsibility is None


def same(one: Inference, other: Inference) -> bool:
    return torch.equal(one.gain, other.gain) and one.objective == other.objective


@pytest.mark.parametrize("engine", ENGINES)
def test_the_seed_decides_everything(noisy: Any, engine: str) -> None:
    checkpoint, batch = noisy.checkpoint(start="random"), noisy.batch()
    described = {"class_path": engine, "init_args": {"iterations": 3}}
    torch.manual_seed(100)
    first = infer(checkpoint, batch, engine=described, seed=3)
    state = torch.get_rng_state()
    again = infer(checkpoint, batch, engine=described, seed=3)
    other = infer(checkpoint, batch, engine=described, seed=4)
    assert same(first, again)
    assert not same(first, other)
    # and the caller's randomness goes on as if nothing had been drawn
    assert torch.equal(state, torch.get_rng_state())


def test_one_checkpoint_serves_many_recordings(noisy: Any) -> None:
    checkpoint, batch, longer = noisy.checkpoint(), noisy.batch(), noisy.batch(3, 7)
    engine = StochasticVariational(iterations=3)
    first = infer(checkpoint, batch, engine=engine)
    infer(checkpoint, longer, engine=engine)
    assert same(first, infer(checkpoint, batch, engine=engine))
    assert not isinstance(checkpoint.prior.visual_component, Precomputed)


def test_start_and_settings_come_from_the_checkpoint_unless_given(noisy: Any) -> None:
    batch = noisy.batch()
    checkpoint = noisy.checkpoint(
        start="prior", noise={"class_path": "NMFNoise", "init_args": {"rank": 3}}, guide="PointGuide"
    )
    found = infer(checkpoint, batch, engine=NoFit())
    assert (found.guide.mean == 0).all()
    assert found.mixture.noise.spectra.shape == (2, 6, 3)
    engine = NoFit()
    assert isinstance(found.guide, PointGuide)
    found = infer(checkpoint, batch, engine=engine, start="audio", noise=NMFNoise(5), guide="MixtureUtteranceGuide")
    torch.testing.assert_close(engine.mean[1], checkpoint.guide.encode_audio(batch)[0])
    assert isinstance(found.guide, MixtureUtteranceGuide)
    assert found.mixture.noise.spectra.shape == (2, 6, 5)


def test_the_temperature_sharpens_the_prior(noisy: Any) -> None:
    batch, checkpoint = noisy.batch(), noisy.checkpoint()
    mean, scale = checkpoint.prior.visual_component(batch)
    found = infer(checkpoint, batch, engine=NoFit(), temperature=0.25)
    speech: Any = found.mixture.speech
    torch.testing.assert_close(speech.visual_component(batch), (mean, scale / 2))


def test_a_rule_that_needs_clean_speech_is_replaced_by_the_closed_form(noisy: Any) -> None:
    class Untouched(NoFit):
        def run(self, mixture: Any, guide: Any, utterances: Any) -> Iterator[float]:
            self.alpha = guide.alpha
            return super().run(mixture, guide, utterances)

    engine = Untouched()
    found = infer(noisy.checkpoint(), noisy.batch(), engine=engine)
    assert not engine.given
    assert found.guide.alpha is not None
    # refreshed once more by the engine above: nothing had moved
    torch.testing.assert_close(engine.alpha.logits, found.guide.alpha.logits)
    assert not torch.equal(engine.alpha.mean, engine.pi)


def test_a_gate_is_believed_and_blends_the_start(noisy: Any) -> None:
    engine, batch = NoFit(), noisy.batch()
    batch.mouth_seen[0, 0] = False
    checkpoint = noisy.checkpoint(gate=True)
    found = infer(checkpoint, batch, engine=engine, start="both")
    assert engine.given
    trust = torch.where(batch.mouth_seen, torch.tensor(1.5).double().sigmoid(), 0.0)
    assert found.audio_responsibility is not None
    torch.testing.assert_close(1 - found.audio_responsibility, trust, rtol=1e-6, atol=1e-9)
    heard, seen = checkpoint.guide.encode_audio(batch)[0], checkpoint.guide.encode_visual(batch)[0]
    torch.testing.assert_close(engine.mean, heard + trust[..., None] * (seen - heard), rtol=1e-6, atol=1e-9)
    fitted = infer(checkpoint, batch, engine=StochasticVariational(iterations=3))
    torch.testing.assert_close(fitted.audio_responsibility, found.audio_responsibility)


def test_prior_odds_move_the_gate_by_their_change(noisy: Any) -> None:
    batch, checkpoint = noisy.batch(), noisy.checkpoint(gate=True)
    odds = {}
    for weight in (0.3, 0.9):
        engine = NoFit()
        found = infer(checkpoint, batch, engine=engine, mixing_weight=weight)
        assert found.audio_responsibility is not None
        odds[weight] = found.audio_responsibility.logit()
        torch.testing.assert_close(engine.pi, torch.full_like(engine.pi, weight))
    change = torch.tensor([0.9, 0.3]).double().logit()
    torch.testing.assert_close(odds[0.9] - odds[0.3], (change[0] - change[1]).expand_as(odds[0.9]))
    trained = checkpoint.prior.alpha_prior(batch).logits
    plain = infer(checkpoint, batch, engine=NoFit()).audio_responsibility
    assert plain is not None
    torch.testing.assert_close(odds[0.9] - plain.logit(), change[0] - trained)


def test_without_video_all_is_left_to_the_sound(noisy: Any) -> None:
    batch = noisy.batch().without_mouth()
    for gate in (False, True):
        found = infer(noisy.checkpoint(gate=gate), batch, engine=StochasticVariational(iterations=3), temperature=0.1)
        assert found.audio_responsibility is not None
        assert found.audio_responsibility.min() > 1 - 1e-12
        assert found.gain.isfinite().all()


def test_without_video_the_mixture_is_its_audio_vae(noisy: Any) -> None:
    """Same decoder, same start, nothing drawn: the conditional mixture with no mouth is A-VAE to the last digits."""
    batch = noisy.batch().without_mouth()
    checkpoint = noisy.checkpoint()
    plain = noisy.checkpoint(mixture=False)
    plain.prior.decoder = checkpoint.prior.decoder
    plain.guide.audio.encoder = checkpoint.guide.audio.encoder
    engine = StochasticVariational(iterations=5)
    found, expected = (infer(c, batch, engine=engine, start="audio", guide="PointGuide") for c in (checkpoint, plain))
    torch.testing.assert_close(found.gain, expected.gain, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(found.objective, expected.objective, rtol=1e-8, atol=1e-8)


def test_the_engine_that_nobody_names_is_fast(noisy: Any) -> None:
    checkpoint, batch = noisy.checkpoint(), noisy.batch()
    assert DEFAULT_ENGINE == "fast"
    for function in (infer, enhance):
        assert inspect.signature(function).parameters["engine"].default is None
    assert same(infer(checkpoint, batch), infer(checkpoint, batch, engine=FastVariational()))


def test_a_checkpoint_may_name_its_engine(noisy: Any) -> None:
    checkpoint, batch = noisy.checkpoint(), noisy.batch(1, 2)
    few = {"class_path": "VariationalEM", "init_args": {"iterations": 3}}
    named = copy.copy(checkpoint)
    named.enhancement = {**checkpoint.enhancement, "engine": few}
    assert same(infer(named, batch), infer(checkpoint, batch, engine=VariationalEM(iterations=3)))
    assert len(infer(named, batch, engine="svi").objective) == StochasticVariational().iterations


def test_names_and_import_paths(noisy: Any) -> None:
    checkpoint, batch = noisy.checkpoint(), noisy.batch(1, 2)
    path = "minvae_pyro.inference.svi.StochasticVariational"
    by_path = infer(checkpoint, batch, engine=path, start="minvae_pyro.guides.test_time.starts.prior")
    assert same(by_path, infer(checkpoint, batch, engine="svi", start="prior"))
    assert len(by_path.objective) == StochasticVariational().iterations
    assert ENGINES["svi"] is StochasticVariational
    assert ENGINES["vem"] is VariationalEM


def test_parts_by_name_by_description_and_themselves(noisy: Any) -> None:
    """An engine, a noise model and a guide, named in every way there is: the outcome is the same to the last bit."""
    checkpoint, batch = noisy.checkpoint(), noisy.batch(1, 2)
    parts = {
        "engine": (
            StochasticVariational(iterations=4),
            "minvae_pyro.inference.StochasticVariational",
            {"iterations": 4},
        ),
        "noise": (NMFNoise(3), "NMFNoise", {"rank": 3}),
        "guide": (PointGuide(), "minvae_pyro.guides.PointGuide", {}),
    }
    themselves = {key: part for key, (part, _, _) in parts.items()}
    described = {key: {"class_path": name, "init_args": options} for key, (_, name, options) in parts.items()}
    one, other = infer(checkpoint, batch, **themselves), infer(checkpoint, batch, **described)
    assert same(one, other)
    assert len(one.objective) == 4
    assert isinstance(one.guide, PointGuide)
    # a part that is handed over serves again: what is fitted is a copy
    assert same(one, infer(checkpoint, batch, **themselves))


def test_noise_that_is_held(noisy: Any) -> None:
    batch = noisy.batch(1, 2)
    started = NMFNoise(2).start(batch)
    found = infer(noisy.checkpoint(), batch, engine=StochasticVariational(iterations=2), noise=FrozenNoise(started))
    torch.testing.assert_close(found.mixture.noise(batch), started(batch), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("part", "name", "message"),
    [
        ("engine", "warp", "there is no engine 'warp'. Choose fast, svi, vem, "),
        ("engine", "", "there is no engine ''. "),
        ("engine", "Tensor", "there is no engine 'Tensor'. "),
        ("engine", "no.such.Engine", "there is no engine 'no.such.Engine' (No module named 'no')"),
        ("engine", "minvae_pyro.inference.Nothing", "has no attribute 'Nothing'). Choose fast, svi, vem"),
        (
            "engine",
            "torch.Tensor",
            "is no engine: it does not derive from InferenceEngine. Choose fast",
        ),
        ("engine", "torch.nn", "'torch.nn' is no engine: it is of type module, not a class. "),
        (
            "engine",
            "minvae_pyro.inference.InferenceEngine",
            "is a base class, which leaves run open. Choose fast",
        ),
        ("noise", "PinkNoise", "there is no noise model 'PinkNoise'. Choose BayesianNMFNoise, NMFNoise, "),
        (
            "noise",
            "minvae_pyro.models.MinVAE",
            "is no noise model: it does not derive from NoiseModel. ",
        ),
        ("guide", "AudioGuide", "there is no guide 'AudioGuide'. Choose AutoDelta, "),
        (
            "guide",
            "minvae_pyro.guides.UtteranceGuide",
            "is a base class, which leaves initialise, z_posterior open. Choose Auto",
        ),
    ],
)
def test_what_is_no_part_is_refused(noisy: Any, part: str, name: str, message: str) -> None:
    with pytest.raises(UserError) as refused:
        infer(noisy.checkpoint(), noisy.batch(1, 1), **{"engine": NoFit(), part: name})
    assert message in str(refused.value)


@pytest.mark.parametrize("guide", [MeanFieldGuide, PointGuide, MixtureUtteranceGuide, AmortisedGuide, SmoothedGuide])
@pytest.mark.parametrize("engine", [StochasticVariational(iterations=3), VariationalEM(iterations=3)])
@pytest.mark.parametrize("gate", [False, True])
def test_every_guide_and_engine_go_together(noisy: Any, engine: InferenceEngine, guide: Any, gate: bool) -> None:
    batch = noisy.batch(2, 4)
    batch.mask[1, 3] = batch.mouth_seen[1, 3] = False
    found = infer(noisy.checkpoint(gate=gate), batch, engine=engine, guide=guide())
    assert found.gain.shape == batch.power.shape
    assert ((found.gain >= 0) & (found.gain <= 1 + 1e-12)).all()
    assert isinstance(found.guide, guide)
    assert len(found.objective) == 3


@pytest.mark.parametrize("name", ["somewhere", "torch.nn", "torch.Tensor", "math.pi", "Encoders", ".", "a..b"])
def test_what_is_no_start_is_refused(noisy: Any, name: str) -> None:
    with pytest.raises(UserError, match="Choose visual, audio, both, prior, random or give the import path"):
        infer(noisy.checkpoint(), noisy.batch(1, 1), start=name)


def test_engines_and_starts_of_ones_own(noisy: Any) -> None:
    found = infer(noisy.checkpoint(), noisy.batch(1, 2), engine=Quick(), start=standing_still)
    assert len(found.objective) == 2
    assert found.gain.shape == (1, 2, 6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"ranks": 3},
            "there is no setting ranks of enhancement. "
            "There are engine, start, noise, guide, temperature, mixing_weight, draws, unexplained, independent, gain.",
        ),
        ({"noise": {"class_path": "NMFNoise", "init_args": {"rank": 0}}}, "rank of at least 1"),
        ({"noise": {"class_path": "NMFNoise", "init_args": {"ranks": 3}}}, "Its arguments: rank."),
        ({"guide": {"class_path": "PointGuide", "init_args": {"width": 3}}}, "Its arguments: none."),
        ({"draws": 0}, "needs draws to be at least 1"),
        ({"temperature": 0.0}, "temperature to be at least 1e-06"),
        ({"temperature": float("nan")}, "temperature to be a finite number"),
        ({"mixing_weight": 0.0}, "a mixing_weight between 0 and 1"),
        ({"mixing_weight": 1.0}, "a mixing_weight between 0 and 1"),
    ],
)
def test_impossible_settings_are_refused(noisy: Any, settings: dict[str, Any], message: str) -> None:
    for checkpoint, given in ((noisy.checkpoint(**settings), {}), (noisy.checkpoint(), settings)):
        with pytest.raises(UserError) as refused:
            infer(checkpoint, noisy.batch(1, 1), engine=NoFit(), **given)
        assert message in str(refused.value)


@pytest.mark.parametrize("guide", ["MeanFieldGuide", "MixtureUtteranceGuide", "AmortisedGuide"])
@pytest.mark.parametrize("start", ["visual", "both"])
@pytest.mark.parametrize("name", ["min-vae-s1", "min-vae-v2", "vae-mm", "av-cvae", "av-dkf"])
def test_networks_on_the_mouth_run_once(name: str, start: str, guide: str) -> None:
    checkpoint = load_checkpoint(name)
    spectrum = torch.randn(2, 6, checkpoint.stft.frequencies, dtype=torch.complex64)
    batch = Utterances.from_spectrum(spectrum, torch.rand(2, 6, 67, 67))
    runs: dict[torch.nn.Module, int] = {}

    def count(network: torch.nn.Module, _given: Any, _found: Any) -> None:
        runs[network] = runs.get(network, 0) + 1

    whole: list[Any] = [checkpoint.prior, checkpoint.guide]
    for part in {module for one in whole for module in one.modules()}:
        if isinstance(part, MouthConvolution | MouthPerceptron):
            part.register_forward_hook(count)
    engine = {"class_path": "fast", "init_args": {"iterations": 2}}
    infer(checkpoint, batch, engine=engine, start=start, guide=guide)
    assert runs
    assert set(runs.values()) == {1}


@pytest.mark.parametrize("unexplained", [0.001, 0.1])
def test_the_admitted_gain_is_the_mean_by_precision_of_estimate_and_recording(noisy: Any, unexplained: float) -> None:
    batch = noisy.batch(2, 5)
    batch = batch.replace(mask=torch.arange(5) < torch.tensor([[5], [3]]))
    gain = torch.rand(batch.power.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = admit(gain, batch, unexplained)
    for row, frames in enumerate((5, 3)):
        estimate = gain[row, :frames] * batch.spectrum[row, :frames]
        noise = batch.spectrum[row, :frames] - estimate
        error = unexplained * estimate.abs().square().sum()
        precisions = 1 / error, 1 / noise.abs().square().sum()
        mean = (precisions[0] * estimate + precisions[1] * batch.spectrum[row, :frames]) / sum(precisions)
        torch.testing.assert_close(found[row, :frames] * batch.spectrum[row, :frames], mean)
    assert admit(gain, batch, 0) is gain
    assert admit(torch.ones_like(gain), batch, unexplained).equal(torch.ones_like(gain))


@pytest.mark.parametrize("unexplained", [-0.1, 1.0])
def test_a_share_that_is_none_is_refused(unexplained: float) -> None:
    with pytest.raises(UserError, match="a share unexplained"):
        Settings(unexplained=unexplained)
