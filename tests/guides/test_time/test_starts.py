"""Where the posterior of test time starts."""

from typing import Any

import pytest
import torch

from minvae_pyro.guides import AudioGuide, VisualGuide
from minvae_pyro.guides.test_time.starts import STARTS
from minvae_pyro.models import AudioVAE, sharpen


@pytest.fixture(params=["constant", "conditional"])
def pieces(request: pytest.FixtureRequest, world: Any) -> tuple[Any, Any, Any]:
    prior, guide = world.pair(request.param)
    return prior, guide, world.with_gaps(world.batch(2, 3))


def begin(name: str, pieces: tuple[Any, Any, Any], trust: float | torch.Tensor = 0.25, seed: int = 0) -> Any:
    prior, guide, batch = pieces
    trust = torch.full(batch.mask.shape, trust, dtype=torch.float64) if isinstance(trust, float) else trust
    return STARTS[name](prior, guide, batch, trust, seed)


def test_audio_is_the_audio_encoders_posterior(pieces: tuple[Any, Any, Any]) -> None:
    _, guide, batch = pieces
    torch.testing.assert_close(begin("audio", pieces), guide.encode_audio(batch))


def test_visual_is_the_visual_posterior_and_audio_where_unseen(pieces: tuple[Any, Any, Any]) -> None:
    _, guide, batch = pieces
    for found, heard, seen in zip(
        begin("visual", pieces), guide.encode_audio(batch), guide.encode_visual(batch), strict=True
    ):
        expected = torch.where(batch.mouth_seen[..., None], seen, heard)
        torch.testing.assert_close(found, expected)


def test_both_blends_by_trust(pieces: tuple[Any, Any, Any]) -> None:
    _, guide, batch = pieces
    trust = torch.rand(2, 3, dtype=torch.float64)
    parts = zip(begin("both", pieces, trust), guide.encode_audio(batch), guide.encode_visual(batch), strict=True)
    for found, heard, seen in parts:
        share = torch.where(batch.mouth_seen, trust, 0.0)[..., None]
        torch.testing.assert_close(found, heard + share * (seen - heard))
    torch.testing.assert_close(begin("both", pieces, 1.0), begin("visual", pieces))
    torch.testing.assert_close(begin("both", pieces, 0.0), begin("audio", pieces))


def test_prior_and_random_know_nothing(pieces: tuple[Any, Any, Any]) -> None:
    mean, scale = begin("prior", pieces)
    assert mean.shape == (2, 3, 3)
    assert (mean == 0).all()
    assert (scale == 1).all()
    first, again, other = (begin("random", pieces, seed=seed)[0] for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.dtype == torch.float64
    assert (begin("random", pieces)[1] == 1).all()


@pytest.mark.parametrize("name", STARTS)
def test_every_start_gives_a_proper_posterior(name: str, pieces: tuple[Any, Any, Any]) -> None:
    mean, scale = begin(name, pieces)
    assert mean.shape == scale.shape == (2, 3, 3)
    assert mean.isfinite().all()
    assert (scale > 0).all()


def test_the_mouth_of_the_conditional_prior_is_its_component_unsharpened(world: Any) -> None:
    prior, guide = world.conditional()
    batch = world.batch(2, 3)
    mean, scale = guide.encode_visual(batch)
    expected = prior.visual_component(batch)
    torch.testing.assert_close((mean, scale), expected)
    torch.testing.assert_close(STARTS["visual"](sharpen(prior, 0.1), guide, batch, torch.ones(2, 3), 0), expected)


@pytest.mark.parametrize("name", STARTS)
def test_plain_vaes_start_from_the_one_posterior_there_is(name: str, world: Any) -> None:
    _, mixture = world.mixture()
    batch = world.batch(2, 3)
    for guide, encoder in ((AudioGuide(mixture.audio), mixture.audio), (VisualGuide(mixture.visual), mixture.visual)):
        mean, scale = STARTS[name](AudioVAE(3).double(), guide, batch, torch.full((2, 3), 0.5), 0)
        if name in ("audio", "visual", "both"):
            torch.testing.assert_close((mean, scale), encoder(batch))
        assert guide.gate_logits(batch) is None
