"""Other mouths against loops over frames, and what model, guide and inference make of them."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, strategies as st
from torch import Tensor, nn

from minvae_pyro.errors import UserError
from minvae_pyro.guides import GatedResponsibility, MixtureGuide, MouthEncoder, NoisyAudioEncoder, PointGuide
from minvae_pyro.inference import StochasticVariational, VariationalEM, infer
from minvae_pyro.models import ConditionalMinVAE, NMFNoise
from minvae_pyro.nn.audio import SpectrumDecoder, SpectrumEncoder
from minvae_pyro.nn.visual import MouthPerceptron
from minvae_pyro.probability.elbo import AnalyticTraceEnum_ELBO
from minvae_pyro.probability.parameters import local_parameters
from minvae_pyro.utterances import Utterances
from minvae_pyro.video.occlusion import frozen, hide, late, masked, occlude, repeated_time, show, shuffled

LATENT, FREQUENCIES, FRAMES = 2, 4, 5
ENGINES: dict[str, Any] = {"svi": StochasticVariational, "vem": VariationalEM}


def batch(complex_values: bool = True) -> Utterances:
    generator = torch.Generator().manual_seed(1)
    spectrum = torch.randn(2, FRAMES, FREQUENCIES, generator=generator, dtype=torch.complex128)
    mouth = torch.rand(2, FRAMES, 67, 67, generator=generator, dtype=torch.float64)
    utterances = Utterances.from_spectrum(spectrum if complex_values else spectrum.abs().square(), mouth)
    utterances.mask[1, 3:] = False
    utterances.mouth_seen[1, 3:] = False
    utterances.mouth_seen[0, 2] = False
    return utterances


class Level(nn.Module):
    """A gate that says the same of every frame."""

    def forward(self, sound: Tensor, predicted: Tensor, visible: Any, mask: Tensor) -> Tensor:
        return sound.new_full(mask.shape, -1.5)


def checkpoint() -> Any:
    """What `infer` reads of a checkpoint."""
    torch.manual_seed(7)
    prior = ConditionalMinVAE(LATENT, MouthPerceptron((3, 3), LATENT))
    prior.decoder = SpectrumDecoder(LATENT, 3, FREQUENCIES)
    sound = NoisyAudioEncoder(SpectrumEncoder(FREQUENCIES, 3, LATENT))
    visible = MouthEncoder(MouthPerceptron((3, 3), LATENT))
    guide = MixtureGuide(prior, sound, visible, GatedResponsibility(Level()))
    return SimpleNamespace(prior=prior.double(), guide=guide.double(), enhancement={}, trust=None)


def inferred(trained: Any, utterances: Utterances, engine: str = "svi") -> Any:
    return infer(
        trained, utterances, engine=ENGINES[engine](iterations=4), start="audio", guide=PointGuide(), noise=NMFNoise(2)
    )


@given(st.data())
def test_a_frame_shows_the_picture_of_the_frame_and_utterance_that_it_is_given(data: st.DataObject) -> None:
    before = batch()

    def numbers(below: int) -> Tensor:
        return torch.tensor(data.draw(st.lists(st.integers(0, below - 1), min_size=10, max_size=10))).reshape(2, FRAMES)

    time, row, hidden = numbers(FRAMES), numbers(2), numbers(2).bool()
    shown = show(before, time, row)
    after = hide(shown, hidden)
    for b in range(2):
        for n in range(FRAMES):
            there = int(row[b, n]), int(time[b, n])
            assert shown.mouth_seen[b, n] == before.mouth_seen[there]
            assert torch.equal(shown.mouth[b, n], before.mouth[there])
            visible = bool(before.mouth_seen[there]) and not hidden[b, n]
            assert after.mouth_seen[b, n] == visible
            assert torch.equal(after.mouth[b, n], before.mouth[there] * visible)
    own = torch.arange(2)[:, None].expand(2, FRAMES)
    assert torch.equal(show(before, time).mouth, show(before, time, own).mouth)


def test_a_video_that_has_ended_begins_again() -> None:
    repeated = repeated_time(torch.arange(7).expand(3, 7), torch.tensor([[3], [7], [0]]))
    assert repeated.tolist() == [[0, 1, 2, 0, 1, 2, 0], list(range(7)), [0] * 7]


def test_no_mouth_freezes_before_the_start() -> None:
    with pytest.raises(UserError, match=r"cannot freeze at frame -1: count"):
        frozen(-1)


OCCLUSIONS = {
    "masked": (masked(1, 3), lambda n: None if n in (1, 2) else n),
    "masked to the end": (masked(3), lambda n: None if n >= 3 else n),
    "frozen": (frozen(1), lambda n: min(n, 1)),
    "late": (late(2), lambda n: n - 2 if n >= 2 else None),
    "early is late by less than nothing": (late(0), lambda n: n),
}


@pytest.mark.parametrize("name", OCCLUSIONS)
def test_each_frame_shows_the_picture_that_it_should(name: str) -> None:
    how, source = OCCLUSIONS[name]
    before = batch()
    after = how(before)
    for b in range(2):
        for n in range(FRAMES):
            time = source(n)
            visible = time is not None and bool(before.mouth_seen[b, time]) and bool(before.mask[b, n])
            assert bool(after.mouth_seen[b, n]) == visible, (b, n)
            assert torch.equal(after.mouth[b, n], before.mouth[b, time] if visible else torch.zeros(67, 67).double())
    for kept in ("spectrum", "noisy_power", "mask", "index"):
        assert getattr(after, kept) is getattr(before, kept)


@given(seed=st.integers(0, 2**31))
def test_shuffling_keeps_every_picture_and_leaves_padding_alone(seed: int) -> None:
    before = batch()
    after = shuffled(seed)(before)
    assert torch.equal(shuffled(seed)(before).mouth, after.mouth)
    for b, length in enumerate([FRAMES, 3]):
        places = []
        for n in range(length):
            found = [m for m in range(length) if torch.equal(after.mouth[b, n], before.mouth[b, m])]
            if after.mouth_seen[b, n]:
                places += found
        assert sorted(places) == [m for m in range(length) if before.mouth_seen[b, m]]
        assert not after.mouth_seen[b, length:].any()


def test_shuffling_does_shuffle() -> None:
    before = batch()
    orders = {tuple(shuffled(seed)(before).mouth[0, :, 0, 0].tolist()) for seed in range(20)}
    assert len(orders) > 10


@pytest.mark.parametrize("how", [masked(), frozen(0), shuffled(0), late(1)])
def test_without_a_video_nothing_is_made_up(how: Any) -> None:
    blind = batch().without_mouth()
    after = how(blind)
    assert not after.mouth_seen.any()
    assert after.mouth.untyped_storage().nbytes() < 100


def test_the_occlusion_put_around_last_acts_first() -> None:
    composed = occlude(occlude(lambda utterances: utterances, masked(0, 2)), late(1))(batch())
    assert torch.equal(composed.mouth, masked(0, 2)(late(1)(batch())).mouth)
    assert not torch.equal(composed.mouth, late(1)(masked(0, 2)(batch())).mouth)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_blind_inference_is_that_of_sound_alone(engine: str) -> None:
    trained = checkpoint()
    blind = occlude(inferred, masked())
    alone = inferred(trained, batch().without_mouth(), engine)
    for result in (blind(trained, batch(), engine), blind(trained=trained, utterances=batch(), engine=engine)):
        torch.testing.assert_close(result.gain, alone.gain)
    assert (alone.audio_responsibility == blind(trained, batch()).audio_responsibility).all()


def test_model_and_guide_can_see_different_mouths() -> None:
    utterances, trained = batch(complex_values=False), checkpoint()
    prior, guide = trained.prior, trained.guide
    elbo = AnalyticTraceEnum_ELBO(max_plate_nesting=2)
    other = utterances.replace(mouth=1 - utterances.mouth)

    def loss(model: Any, guide: Any, utterances: Utterances) -> float:
        torch.manual_seed(0)
        return elbo.loss(model, guide, utterances)

    with local_parameters(prior, guide):
        changed_prior, changed_guide = occlude(prior, lambda _: other), occlude(guide, lambda _: other)
        losses = {
            loss(prior, guide, utterances),
            loss(prior, changed_guide, utterances),
            loss(changed_prior, guide, utterances),
            loss(changed_prior, changed_guide, utterances),
        }
        assert len(losses) == 4
        assert loss(prior, guide, other) in losses
