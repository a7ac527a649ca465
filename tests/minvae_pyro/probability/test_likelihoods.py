import pyro
import pyro.distributions as dist
import pytest
import scipy.stats
import torch
from hypothesis import given, strategies as st
from torch.distributions import kl_divergence

from minvae_pyro.probability.likelihoods import VARIANCE_FLOOR, ComplexNormal, PowerExponential
from minvae_pyro.probability.normals import PresampledNormal

LEVELS = st.floats(1e-6, 1e6)
COMPLEX = torch.tensor([1 + 2j, -0.3j, 0j], dtype=torch.complex128)


@given(variance=LEVELS, real=st.floats(-1e3, 1e3), imaginary=st.floats(-1e3, 1e3))
def test_complex_normal_is_two_real_normals_with_half_of_the_variance_each(
    variance: float, real: float, imaginary: float
) -> None:
    value = torch.tensor(complex(real, imaginary), dtype=torch.complex128)
    found = ComplexNormal(torch.tensor(variance, dtype=torch.float64)).log_prob(value)
    scale = (variance / 2) ** 0.5
    expected = scipy.stats.norm.logpdf(real, 0, scale) + scipy.stats.norm.logpdf(imaginary, 0, scale)
    assert found.item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(variance=LEVELS, power=st.floats(0, 1e6))
def test_power_is_exponential(variance: float, power: float) -> None:
    level, value = torch.tensor([variance, power], dtype=torch.float64)
    found = PowerExponential(level).log_prob(value)
    assert found.item() == pytest.approx(scipy.stats.expon.logpdf(power, scale=variance), rel=1e-9, abs=1e-9)


def test_both_forms_have_the_same_gradient_and_differ_by_log_pi() -> None:
    variance = torch.tensor([0.2, 3.0, 40.0], dtype=torch.float64, requires_grad=True)
    of_complex = ComplexNormal(variance).log_prob(COMPLEX)
    of_power = PowerExponential(variance).log_prob(COMPLEX.abs().square())
    torch.testing.assert_close(of_power - of_complex, torch.full((3,), torch.pi, dtype=torch.float64).log())
    first, second = (torch.autograd.grad(part.sum(), variance)[0] for part in (of_complex, of_power))
    torch.testing.assert_close(first, second, rtol=1e-14, atol=0)


@pytest.mark.parametrize("shapes", [((2, 3), (2, 3)), ((2, 1, 3), (2, 3)), ((3,), (2, 3)), ((2, 3), (3,))])
def test_slopes_of_the_density_are_those_of_its_formula(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    variance, power = (torch.rand(shape, dtype=torch.float64) + 0.3 for shape in shapes)
    variance.requires_grad_()
    power.requires_grad_()

    def density(v: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
        return PowerExponential(v, validate_args=False).log_prob(p)

    torch.testing.assert_close(density(variance, power), -variance.log() - power / variance)
    assert torch.autograd.gradcheck(density, (variance, power))
    assert torch.autograd.gradgradcheck(density, (variance, power))


def test_draws_have_the_moments_of_a_circular_normal() -> None:
    variance = torch.tensor([0.5, 8.0], dtype=torch.float64)
    draws = ComplexNormal(variance).sample((40000,))
    assert draws.shape == (40000, 2)
    assert draws.dtype == torch.complex128
    torch.testing.assert_close(draws.abs().square().mean(0), variance, rtol=0.03, atol=0)
    for mean_is_zero in (draws, draws.square()):  # circular: E[x^2] = 0 as well
        assert (mean_is_zero.mean(0).abs() < 0.03 * variance).all()
    _, p_value = scipy.stats.kstest(draws[:, 0].real.numpy(), scipy.stats.norm(0, 0.5).cdf)
    assert p_value > 1e-3


def test_draws_of_power_are_exponential() -> None:
    draws = PowerExponential(torch.tensor([0.5, 8.0]).double()).sample((20000,))
    for column, scale in enumerate((0.5, 8.0)):
        assert scipy.stats.kstest(draws[:, column].numpy(), scipy.stats.expon(0, scale).cdf).pvalue > 1e-3


@pytest.mark.parametrize("family", [ComplexNormal, PowerExponential])
def test_shapes_follow_the_plates(family: type[ComplexNormal] | type[PowerExponential]) -> None:
    likelihood = family(torch.rand(3, 1, 5) + 0.1)
    assert likelihood.sample((2,)).shape == (2, 3, 1, 5)
    wide = likelihood.expand((3, 4, 5))
    assert isinstance(wide, family)
    value = wide.sample()
    assert value.shape == (3, 4, 5)
    torch.testing.assert_close(wide.log_prob(value), likelihood.log_prob(value))
    assert wide.to_event(1).log_prob(value).shape == (3, 4)
    with pyro.plate("wide", 4, dim=-1):
        assert pyro.sample("value", family(torch.ones(5)).to_event(1)).shape == (4, 5)


@pytest.mark.parametrize("family", [ComplexNormal, PowerExponential])
def test_digital_silence_has_a_finite_density(family: type[ComplexNormal] | type[PowerExponential]) -> None:
    variance = torch.zeros(2, requires_grad=True)
    silence = torch.zeros(2, dtype=torch.complex64 if family is ComplexNormal else torch.float32)
    log_prob = family(variance).log_prob(silence)
    assert log_prob.isfinite().all()
    assert family(variance).mean_power[0].item() == pytest.approx(VARIANCE_FLOOR)
    (gradient,) = torch.autograd.grad(log_prob.sum(), variance)
    assert gradient.isfinite().all()


def test_wrong_values_are_refused() -> None:
    one = torch.ones(2)
    with pytest.raises(ValueError, match="complex values"):
        ComplexNormal(one, validate_args=True).log_prob(one)
    with pytest.raises(ValueError, match="finite"):
        ComplexNormal(one, validate_args=True).log_prob(torch.tensor([1j, complex(float("nan"), 0)]))
    with pytest.raises(ValueError, match="support"):
        PowerExponential(one, validate_args=True).log_prob(-one)
    with pytest.raises(ValueError, match="mean_power"):
        ComplexNormal(torch.tensor([1.0, float("nan")]), validate_args=True)


def test_a_drawn_normal_returns_its_draw_and_is_a_normal_otherwise() -> None:
    loc, scale = torch.randn(3, 2), torch.rand(3, 2) + 0.1
    draw = (loc + scale * 0.3).requires_grad_()
    known, plain = PresampledNormal(loc, scale, draw), dist.Normal(loc, scale)
    assert known.rsample() is draw
    assert known.sample() is not None
    torch.testing.assert_close(known.log_prob(draw), plain.log_prob(draw))
    torch.testing.assert_close(kl_divergence(known, dist.Normal(0.0, 1.0)), kl_divergence(plain, dist.Normal(0.0, 1.0)))
    wide = known.expand((4, 3, 2))
    torch.testing.assert_close(wide.rsample(), draw.expand(4, 3, 2))
    with pytest.raises(ValueError, match="exactly one draw"):
        known.rsample((2,))


def test_a_drawn_normal_hands_its_draw_to_pyro_with_its_gradient() -> None:
    draw = torch.randn(3, 2, requires_grad=True)
    with pyro.plate("frames", 3, dim=-1):
        value = pyro.sample("z", PresampledNormal(torch.zeros(3, 2), torch.ones(3, 2), draw).to_event(1))
    (gradient,) = torch.autograd.grad(value.sum(), draw)
    torch.testing.assert_close(gradient, torch.ones(3, 2))
