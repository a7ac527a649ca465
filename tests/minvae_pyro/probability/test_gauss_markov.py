"""The Markov normal against loops, joint densities of linear chains, and the evidence of a Kalman filter."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from hypothesis import given, strategies as st
from pyro import poutine
from torch import Tensor
from torch.distributions import MultivariateNormal

from minvae_pyro.probability.elbo import AnalyticTraceEnum_ELBO
from minvae_pyro.probability.gauss_markov import MarkovNormal
from minvae_pyro.probability.normals import Gaussian

LATENT = 2
MATRIX = torch.tensor([[0.8, -0.4], [0.3, 0.9]], dtype=torch.float64)


def bent(previous: Tensor, frames: slice) -> Gaussian:
    """A transition that bends and knows which frame it leads to."""
    number = torch.arange(100, dtype=torch.float64)[frames, None]
    return torch.sin(previous @ MATRIX) + 0.1 * number, 0.3 + torch.cos(previous[..., :1] + number).square()


def linear(previous: Tensor, frames: slice) -> Gaussian:
    """z_n = A z_{n-1} + b_n + noise, with noise of its own in every frame."""
    number = torch.arange(100, dtype=torch.float64)[frames, None]
    mean = previous @ MATRIX.T + torch.cat([number, -number], -1)
    return mean, (0.5 + 0.1 * number).expand_as(mean)


def chain(size: int = 2, frames: int = 4, transition=bent) -> MarkovNormal:
    first = torch.arange(size * LATENT, dtype=torch.float64).reshape(size, LATENT)
    return MarkovNormal((first, torch.full_like(first, 0.7)), transition, frames)


def by_loop(of: MarkovNormal, value: Tensor) -> Tensor:
    """The chain rule with no tensor but one frame's: (..., B, N)."""
    terms = []
    for frame in range(value.shape[-2]):
        mean, scale = of.initial
        if frame:
            number = torch.full((1,), float(frame), dtype=torch.float64)
            previous = value[..., frame - 1, :]
            mean = torch.sin(previous @ MATRIX) + 0.1 * number
            scale = 0.3 + torch.cos(previous[..., :1] + number).square()
        density = (
            -((value[..., frame, :] - mean) ** 2) / (2 * scale**2)
            - scale.log()
            - 0.5 * torch.tensor(2 * torch.pi, dtype=torch.float64).log()
        )
        terms.append(density.sum(-1))
    return torch.stack(torch.broadcast_tensors(*terms), -1)


def joint(size: int, frames: int) -> MultivariateNormal:
    """The same linear chain as one normal over all frames: covariances from powers of the matrix."""
    identity = torch.eye(LATENT, dtype=torch.float64)
    mean = [torch.arange(size * LATENT, dtype=torch.float64).reshape(size, LATENT)]
    reach = {(n, n): identity for n in range(frames)}
    for n in range(1, frames):
        mean.append(mean[-1] @ MATRIX.T + torch.tensor([n, -n], dtype=torch.float64))
        for source in range(n):
            reach[n, source] = MATRIX @ reach[n - 1, source]
    noise = [0.7**2] + [(0.5 + 0.1 * n) ** 2 for n in range(1, frames)]
    blocks = [
        [sum(noise[s] * reach[a, s] @ reach[b, s].T for s in range(min(a, b) + 1)) for b in range(frames)]
        for a in range(frames)
    ]
    covariance = torch.cat([torch.cat(row, 1) for row in blocks], 0)
    return MultivariateNormal(torch.cat(mean, -1), covariance)


@given(size=st.integers(1, 3), frames=st.integers(1, 5), leading=st.sampled_from([(), (1,), (3,), (2, 1), (2, 3)]))
def test_all_frames_at_once_are_the_frames_one_by_one(size: int, frames: int, leading: tuple[int, ...]) -> None:
    of = chain(size, frames)
    value = torch.randn(*leading, size, frames, LATENT, dtype=torch.float64)
    found = of.log_prob(value)
    assert found.shape == (*leading, size, frames)
    torch.testing.assert_close(found, by_loop(of, value), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(of.conditionals(value).log_prob(value), found, rtol=0, atol=0)


@pytest.mark.parametrize("frames", [1, 2, 6])
def test_a_linear_chain_is_one_normal_over_all_frames(frames: int) -> None:
    value = torch.randn(5, 3, frames, LATENT, dtype=torch.float64)
    found = chain(3, frames, linear).log_prob(value).sum(-1)
    torch.testing.assert_close(found, joint(3, frames).log_prob(value.flatten(-2)), rtol=1e-10, atol=1e-10)


def test_scoring_asks_for_all_frames_at_once() -> None:
    asked = []

    def transition(previous: Tensor, frames: slice) -> Gaussian:
        asked.append((previous.shape, frames))
        return bent(previous, frames)

    chain(2, 50, transition).log_prob(torch.zeros(2, 50, LATENT, dtype=torch.float64))
    assert asked == [((2, 49, LATENT), slice(1, 50))]


def test_draws_have_the_moments_of_the_joint_normal() -> None:
    of, whole = chain(2, 3, linear), joint(2, 3)
    draws = of.rsample((40000,))
    assert draws.shape == (40000, 2, 3, LATENT)
    assert draws.dtype == torch.float64
    flat = draws.flatten(-2)
    torch.testing.assert_close(flat.mean(0), whole.mean, rtol=0, atol=0.03)
    for row in range(2):
        torch.testing.assert_close(flat[:, row].T.cov(), whole.covariance_matrix[row], rtol=0, atol=0.06)


def test_draws_carry_gradients_through_every_frame() -> None:
    def last(first: Tensor) -> Tensor:
        torch.manual_seed(3)
        return MarkovNormal((first, torch.full_like(first, 0.7)), bent, 4).rsample()[..., -1, :]

    torch.autograd.gradcheck(last, (torch.randn(2, LATENT, dtype=torch.float64, requires_grad=True),))


def test_the_mean_path_takes_each_frame_from_the_mean_of_the_one_before() -> None:
    mean, scale = chain(2, 4).mean_path()
    torch.testing.assert_close(mean[:, 0], chain(2, 4).initial[0])
    for frame in range(1, 4):
        expected = bent(mean[:, frame - 1], slice(frame, frame + 1))
        torch.testing.assert_close((mean[:, frame], scale[:, frame]), tuple(torch.broadcast_tensors(*expected)))
    assert scale.shape == (2, 4, LATENT)


def test_expands_over_everything_but_frames() -> None:
    wide = chain(1, 4).expand((5, 3, 4))
    assert wide.batch_shape == (5, 3, 4)
    draws = wide.rsample()
    assert draws.shape == (5, 3, 4, LATENT)
    assert len(draws.flatten(0, 1).unique(dim=0)) == 15
    torch.testing.assert_close(wide.log_prob(draws), by_loop(chain(1, 4), draws))
    with pytest.raises(ValueError, match="a chain of 4 frames cannot become one of 7"):
        chain(1, 4).expand((1, 7))


def test_refuses_values_of_another_kind() -> None:
    with pytest.raises(ValueError, match="support"):
        chain(2, 3).log_prob(torch.full((2, 3, LATENT), torch.nan, dtype=torch.float64))


def test_padding_leaves_a_shorter_chain() -> None:
    mask = torch.tensor([[True, True, True, True], [True, True, False, False]])

    def story() -> None:
        with pyro.plate("rows", 2, dim=-2), pyro.plate("frames", 4, dim=-1), poutine.mask(mask=mask):
            pyro.sample("z", chain(2, 4))

    trace = poutine.trace(story).get_trace()
    trace.compute_log_prob()
    site = trace.nodes["z"]
    short = MarkovNormal((chain(2).initial[0][1:], chain(2).initial[1][1:]), bent, 2)
    torch.testing.assert_close(site["log_prob"][1, :2], short.log_prob(site["value"][1:, :2])[0])
    assert (site["log_prob"][1, 2:] == 0).all()


def test_with_the_true_posterior_the_bound_is_the_evidence() -> None:
    """A scalar chain seen in noise: the posterior of each frame given the one before comes from the joint normal."""
    copies, frames = 20000, 3
    decay, step, start, blur = 0.9, 0.6, 1.5, 0.8
    seen = torch.tensor([0.7, -0.4, 1.1], dtype=torch.float64)

    def prior_step(previous: Tensor, _: slice) -> Gaussian:
        return decay * previous, torch.full_like(previous, step)

    covariance = torch.zeros(frames, frames, dtype=torch.float64)
    for a in range(frames):
        for b in range(frames):
            common = [start**2] + [step**2] * min(a, b)
            covariance[a, b] = sum(v * decay ** (a + b - 2 * s) for s, v in enumerate(common))
    evidence = MultivariateNormal(torch.zeros_like(seen), covariance + blur**2 * torch.eye(frames).double())
    precision = covariance.inverse() + torch.eye(frames).double() / blur**2
    posterior_mean = precision.inverse() @ seen / blur**2

    def factor(frame: int) -> tuple[Tensor, Tensor, Tensor]:
        """Offset, weight of the frame before and scale of q(z_n | z_{n-1}), by conditioning the joint posterior."""
        both = precision.inverse()[max(0, frame - 1) : frame + 1, max(0, frame - 1) : frame + 1]
        if frame == 0:
            return posterior_mean[0], torch.zeros(()).double(), both[0, 0].sqrt()
        weight = both[1, 0] / both[0, 0]
        return (
            posterior_mean[frame] - weight * posterior_mean[frame - 1],
            weight,
            (both[1, 1] - weight * both[1, 0]).sqrt(),
        )

    offsets, weights, scales = (torch.stack(parts) for parts in zip(*map(factor, range(frames)), strict=True))

    def posterior_step(previous: Tensor, where: slice) -> Gaussian:
        mean = offsets[where, None] + weights[where, None] * previous
        return mean, scales[where, None].expand_as(mean)

    def run(initial: Gaussian, transition, observe: bool) -> None:
        first = [part.double().expand(copies, 1) for part in initial]
        with pyro.plate("copies", copies, dim=-2), pyro.plate("frames", frames, dim=-1):
            z = pyro.sample("z", MarkovNormal((first[0], first[1]), transition, frames))
            if observe:
                pyro.sample("x", dist.Normal(z.squeeze(-1), blur), obs=seen.expand(copies, frames))

    def model() -> None:
        run((torch.zeros(1), torch.full((1,), start)), prior_step, observe=True)

    def guide() -> None:
        run((offsets[:1], scales[:1]), posterior_step, observe=False)

    bound = -AnalyticTraceEnum_ELBO(max_plate_nesting=2).loss(model, guide) / copies
    assert bound == pytest.approx(evidence.log_prob(seen).item(), abs=0.02)
