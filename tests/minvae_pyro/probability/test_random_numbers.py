from typing import Any

import pytest
import torch
from hypothesis import given, strategies as st
from torch.distributions import kl_divergence

from minvae_pyro.probability.normals import CommonRandomNormal
from minvae_pyro.probability.random_numbers import normal, uniform

DRAWS: Any = [
    (lambda draws, size, frames: normal((*draws, size, frames, 3), torch.zeros(())), -2),
    (lambda draws, size, frames: uniform((*draws, size, frames), torch.zeros(())), -1),
]


@pytest.mark.parametrize(("draw", "axis"), DRAWS)
@given(
    draws=st.lists(st.integers(1, 3), max_size=2),
    sizes=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    frames=st.tuples(st.integers(1, 40), st.integers(0, 40)),
)
def test_a_frame_has_its_numbers_in_any_batch(
    draw: Any, axis: int, draws: list[int], sizes: tuple[int, int], frames: tuple[int, int]
) -> None:
    found = []
    for size, count in zip(sizes, (frames[0], sum(frames)), strict=True):
        torch.manual_seed(3)
        found.append([draw(draws, size, count) for _ in range(3)])
    for short, long in zip(*found, strict=True):
        assert short.shape[axis - 1] == long.shape[axis - 1] == 1
        assert torch.equal(short, long.narrow(axis, 0, frames[0]))
    assert not torch.equal(found[0][0], found[0][1])


def test_numbers_have_their_distribution() -> None:
    like = torch.zeros((), dtype=torch.float64)
    drawn = normal((5, 7, 2000, 3), like)
    assert drawn.dtype == torch.float64
    assert drawn.shape == (5, 1, 2000, 3)
    torch.testing.assert_close(
        drawn.flatten().quantile(torch.tensor([0.1587, 0.5, 0.8413]).double()),
        torch.tensor([-1.0, 0, 1]).double(),
        atol=0.03,
        rtol=0,
    )
    # draws, frames and coordinates are independent of each other
    for rows in (drawn.flatten(0, 2).T, drawn[:, 0].flatten(1), drawn[:, 0].movedim(1, 0)[:40].flatten(1)):
        off = torch.corrcoef(rows) - torch.eye(len(rows), dtype=torch.float64)
        assert off.abs().max() < 5 / rows.shape[1] ** 0.5
    even = uniform((5, 7, 4000), like)
    torch.testing.assert_close(
        even.flatten().quantile(torch.tensor([0.25, 0.5, 0.75]).double()),
        torch.tensor([0.25, 0.5, 0.75]).double(),
        atol=0.02,
        rtol=0,
    )


def test_a_generator_of_ones_own_decides() -> None:
    generators = [torch.Generator().manual_seed(4) for _ in range(2)]
    one, other = (normal((2, 5, 3), torch.zeros(()), generator) for generator in generators)
    assert torch.equal(one, other)
    assert not torch.equal(one, normal((2, 5, 3), torch.zeros(()), generators[0]))


def test_a_common_normal_is_a_normal_that_draws_for_each_recording_alike() -> None:
    mean, scale = torch.randn(2, 3, 4, 5), 0.5 + torch.rand(2, 3, 4, 5)
    mean.requires_grad_()
    common, plain = CommonRandomNormal(mean, scale), torch.distributions.Normal(mean, scale)
    assert torch.equal(kl_divergence(common, plain), torch.zeros(2, 3, 4, 5))
    for distribution in (common, common.expand((7, 2, 3, 4, 5)), common.to_event(1)):
        draw = distribution.rsample((6,))
        assert draw.shape == (6, *distribution.batch_shape, *distribution.event_shape)
        noise = ((draw - mean) / scale).detach()
        torch.testing.assert_close(noise, noise[..., :1, :, :].expand(noise.shape), rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(
            torch.autograd.grad(draw.sum(), mean)[0], torch.full_like(mean, draw.numel() / mean.numel())
        )
        assert not distribution.sample().requires_grad
