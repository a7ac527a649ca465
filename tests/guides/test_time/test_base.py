"""What guides at test time share: a window that moves on, and z given alpha."""

from typing import Any

import pytest
import torch
from torch import Tensor

from minvae_pyro.guides import (
    AmortisedGuide,
    MeanFieldGuide,
    MixtureUtteranceGuide,
    ParticleGuide,
    PointGuide,
    SmoothedGuide,
    UtteranceGuide,
)

FREE = [MeanFieldGuide, PointGuide, MixtureUtteranceGuide, SmoothedGuide]


def somewhere(frames: int) -> tuple[Tensor, Tensor]:
    return torch.randn(2, frames, 3, dtype=torch.float64), 0.2 + torch.rand(2, frames, 3, dtype=torch.float64)


def fitted(guide: UtteranceGuide) -> None:
    """Move every parameter to where a fit may have taken it."""
    with torch.no_grad():
        for parameter in guide.parameters():
            parameter += 0.3 * torch.randn_like(parameter)


@pytest.mark.parametrize(("frames", "dropped"), [(6, 2), (5, 0), (4, 1)])
@pytest.mark.parametrize("kind", FREE)
def test_a_window_that_moves_on_keeps_what_was_fitted_to_its_frames(
    world: Any, kind: type[UtteranceGuide], frames: int, dropped: int
) -> None:
    prior, _ = world.pair("conditional")
    earlier: Any = kind().start(prior, world.batch(2, 5), somewhere(5))
    fitted(earlier)
    later: Any = kind().start(prior, world.batch(2, frames), somewhere(frames))
    begin = {name: getattr(later, name).detach().clone() for name in ("mean", "scale")}
    later.warm_start(earlier, dropped)
    known = 5 - dropped
    for name, start in begin.items():
        found = getattr(later, name).detach()
        torch.testing.assert_close(found[..., :known, :], getattr(earlier, name).detach()[..., dropped:, :])
        torch.testing.assert_close(found[..., known:, :], start[..., known:, :])
    if kind is SmoothedGuide:
        torch.testing.assert_close(later.correlation, earlier.correlation)
    assert all(parameter.requires_grad for parameter in later.parameters())


def test_a_window_that_moves_on_keeps_the_weights_that_were_fine_tuned(world: Any) -> None:
    prior, encoders = world.pair("constant")
    windows = world.batch(2, 5), world.batch(2, 6)
    earlier, later = (AmortisedGuide().start(prior, one, somewhere(one.frames), encoders) for one in windows)
    fitted(earlier)
    start = later.mean.detach().clone()
    later.warm_start(earlier, 2)
    names = [name for name, _ in later.named_parameters() if name.startswith("change")]
    assert names
    for name in names:
        torch.testing.assert_close(getattr(later, name), getattr(earlier, name))
    torch.testing.assert_close(later.mean[:, :3], earlier.mean[:, 2:])
    torch.testing.assert_close(later.mean[:, 3:], start[:, 3:])


def test_chains_go_on_from_where_they_stand(world: Any) -> None:
    prior, _ = world.pair("conditional")
    earlier = ParticleGuide(2).start(prior, world.batch(2, 5), somewhere(5))
    earlier.set_particles(torch.randn(6, 2, 5, 3, dtype=torch.float64))  # three of each chain
    begin = somewhere(6)
    later = ParticleGuide(2).start(prior, world.batch(2, 6), begin)
    later.warm_start(earlier, 2)
    torch.testing.assert_close(later.particles[..., :3, :], earlier.particles[-2:, :, 2:])
    torch.testing.assert_close(later.particles[..., 3:, :], begin[0][:, 3:].expand(2, -1, -1, -1))


def test_particles_are_a_copy(world: Any) -> None:
    prior, _ = world.pair("conditional")
    guide = ParticleGuide(2).start(prior, world.batch(2, 2), somewhere(2))
    values = torch.randn(3, 2, 2, 3, dtype=torch.float64)
    before = values.clone()
    guide.set_particles(values)
    fitted(guide)
    assert values.equal(before)


def test_a_particle_is_picked_from_all(world: Any) -> None:
    prior, _ = world.pair("conditional")
    guide = ParticleGuide(2).start(prior, world.batch(2, 2), somewhere(2))
    guide.set_particles(torch.randn(3, 2, 2, 3, dtype=torch.float64))
    picked = torch.stack([guide.z_given(None).sample() for _ in range(60)])
    matches = (picked[:, None] == guide.particles.detach()).all(-1).all(-1).all(-1)
    assert matches.sum(1).eq(1).all()
    assert (matches.sum(0) > 5).all()
    assert guide.z_posterior().batch_shape == (2, 2)
    torch.testing.assert_close(guide.z_posterior().mean, guide.particles.mean(0))


@pytest.mark.parametrize("shape", [(2, 3), (2, 1, 1), (4, 2, 3)])
def test_z_given_alpha_is_the_posterior_of_that_alpha(world: Any, shape: tuple[int, ...]) -> None:
    prior, _ = world.pair("conditional")
    guide = MixtureUtteranceGuide().start(prior, world.batch(2, 3), somewhere(3))
    fitted(guide)
    alpha = torch.randint(2, shape).double()
    mean, scale = guide.mean.detach(), guide.scale.detach()
    found = guide.z_given(alpha)
    weight = alpha[..., None]
    torch.testing.assert_close(found.mean, (weight * mean[1] + (1 - weight) * mean[0]))
    torch.testing.assert_close(found.variance, (weight * scale[1] + (1 - weight) * scale[0]).square())
    torch.testing.assert_close(guide.z_given(None).mean, mean)
    plain = MeanFieldGuide().start(prior, world.batch(2, 3), somewhere(3))
    torch.testing.assert_close(plain.z_given(alpha).mean, plain.mean)


@pytest.mark.parametrize("kind", FREE)
def test_a_start_is_the_one_asked_for_and_leaves_the_settings_alone(world: Any, kind: type[UtteranceGuide]) -> None:
    prior, encoders = world.pair("conditional")
    batch, begin, settings = world.with_gaps(world.batch(2, 3)), somewhere(3), kind()
    log_odds = torch.randn(2, 3, dtype=torch.float64)
    guide: Any = settings.start(prior, batch, begin, log_odds=log_odds)
    assert list(settings.parameters()) == []
    torch.testing.assert_close(guide.responsibility, log_odds.sigmoid())
    assert not guide.update_alpha(prior, batch)
    # a copy: what is fitted later must not change what it began at
    before = begin[0].clone()
    fitted(guide)
    assert begin[0].equal(before)
    free: Any = settings.start(prior, batch, begin, encoders)
    torch.testing.assert_close(free.responsibility, prior.alpha_prior(batch).mean)
    mixed = kind is MixtureUtteranceGuide
    expected = torch.stack([encoders.encode_visual(batch)[0], encoders.encode_audio(batch)[0]]) if mixed else begin[0]
    torch.testing.assert_close(free.mean.detach(), expected)
    assert free.update_alpha(prior, batch)
