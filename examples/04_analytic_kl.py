r"""
Lesson 4: the divergence, in closed form or by a draw
=====================================================

Every bound so far contains a Kullback-Leibler divergence between two normals, which is known in closed form. Pyro's
enumerated bound estimates it from one draw all the same. Both have the same mean; their gradients differ in variance.
This lesson derives the difference for one dimension, measures it there and on the encoders of a MIN-VAE, and shows
how the package puts the closed form into Pyro's bound.
"""

import copy
import math

import pyro
import pyro.distributions as dist
import torch
from matplotlib.figure import Figure
from pyro.infer import ELBO, Trace_ELBO, TraceEnum_ELBO, TraceMeanField_ELBO
from torch import Tensor

from minvae_pyro.guides import FixedResponsibility, MixtureGuide, MouthEncoder
from minvae_pyro.lessons import show
from minvae_pyro.lessons.mixture import talker_utterances, train_on_talker
from minvae_pyro.models import MinVAE
from minvae_pyro.nn.audio import SpectrumDecoder
from minvae_pyro.nn.visual import MouthConvolution
from minvae_pyro.plots.style import BLUE, GREEN, GREY, VERMILLION
from minvae_pyro.probability.elbo import AnalyticTraceEnum_ELBO
from minvae_pyro.probability.parameters import local_parameters
from minvae_pyro.utterances import Utterances

pyro.set_rng_seed(0)

# %%
# One dimension
# -------------
#
# Let :math:`q = N(m, \varsigma^2)` be the posterior of a code and :math:`p = N(0, 1)` its prior. In closed form
# (equation :eq:`normal-divergence` of the page on the mathematics)
#
# .. math:: \mathrm{KL}(q \,\|\, p) = \frac{1}{2} \left(\varsigma^2 + m^2 - 1 - \log \varsigma^2\right),
#
# with the derivatives :math:`m` and :math:`\varsigma - 1/\varsigma` by :math:`m` and :math:`\varsigma`. No draw is
# needed, so their variance is zero.
#
# Now by a draw: :math:`z = m + \varsigma \varepsilon` with :math:`\varepsilon \sim N(0, 1)`. Then :math:`\log q(z) = -
# \log \varsigma - \varepsilon^2 / 2 + c` and :math:`\log p(z) = - z^2 / 2 + c` with the same constant :math:`c`, and
# the estimate is
#
# .. math::
#
#    k = \log q(z) - \log p(z) = \frac{1}{2} (m + \varsigma \varepsilon)^2 - \log \varsigma - \frac{1}{2} \varepsilon^2.
#
# Its derivatives are
#
# .. math::
#
#    \frac{\partial k}{\partial m} = m + \varsigma \varepsilon, \qquad
#    \frac{\partial k}{\partial \varsigma} = - \frac{1}{\varsigma} + m \varepsilon + \varsigma \varepsilon^2.
#
# With :math:`\mathbb{E}[\varepsilon] = 0` and :math:`\mathbb{E}[\varepsilon^2] = 1` their means are those of the closed
# form. With :math:`\mathrm{Var}[\varepsilon^2] = 2` and :math:`\mathrm{Cov}[\varepsilon, \varepsilon^2] = 0` their
# variances are
#
# .. math::
#
#    \mathrm{Var}\left[\frac{\partial k}{\partial m}\right] = \varsigma^2, \qquad
#    \mathrm{Var}\left[\frac{\partial k}{\partial \varsigma}\right] = m^2 + 2 \varsigma^2.
#
# The further a posterior is from the prior, the noisier: a code that says much has large :math:`m`. Pyro has both,
# ``Trace_ELBO`` with the draw and ``TraceMeanField_ELBO`` with the closed form. A plate of twenty thousand independent
# copies gives as many draws of the gradient in one run.

COPIES = 20_000


def gradient_draws(elbo: ELBO, m: float, scale: float) -> Tensor:
    """Gradients of the divergence by mean and standard deviation, (COPIES, 2)."""
    mean, deviation = (
        torch.full((COPIES,), value, dtype=torch.float64, requires_grad=True)
        for value in (m, scale)
    )

    def model() -> None:
        with pyro.plate("copies", COPIES):
            pyro.sample("z", dist.Normal(mean.new_zeros(()), mean.new_ones(())))

    def guide() -> None:
        with pyro.plate("copies", COPIES):
            pyro.sample("z", dist.Normal(mean, deviation))

    return torch.stack(
        torch.autograd.grad(elbo.differentiable_loss(model, guide), (mean, deviation)),
        1,
    )


cases = [(m, scale) for m in (0.0, 1.0, 2.0) for scale in (0.1, 0.3, 1.0)]
measured = {}
print(
    " m   scale   by the draw: mean, variance (predicted)   in closed form: mean, variance"
)
for m, scale in cases:
    by_draw = gradient_draws(Trace_ELBO(), m, scale)
    closed = gradient_draws(TraceMeanField_ELBO(), m, scale)
    expected = torch.tensor([m, scale - 1 / scale], dtype=torch.float64)
    variance = torch.tensor([scale**2, m**2 + 2 * scale**2], dtype=torch.float64)
    measured[m, scale] = by_draw.var(0)
    print(
        f"{m:3.0f} {scale:6.1f} {by_draw[:, 1].mean():14.2f} {by_draw[:, 1].var():9.3f} ({variance[1]:.3f})"
        f" {closed[:, 1].mean():21.2f} {closed[:, 1].var():8.3f}"
    )
    assert torch.allclose(closed.mean(0), expected, atol=1e-9)
    assert float(closed.var(0).max()) < 1e-18
    assert ((by_draw.mean(0) - expected).abs() < 4.5 * (variance / COPIES).sqrt()).all()
    assert torch.allclose(by_draw.var(0), variance, rtol=0.1)

# %%
# How the closed form gets into Pyro's bound
# ------------------------------------------
#
# ``TraceMeanField_ELBO`` refuses discrete sites, and the enumerated bound, ``TraceEnum_ELBO``, draws. The package joins
# the two in a few lines, ``AnalyticTraceEnum_ELBO``. A bound of Pyro is the sum of the log-densities that stand in two
# traces, model minus guide. After both programs have run, and before the traces are added up, each site that is
# reparameterised gets :math:`- \mathrm{KL}` as its log-density in the model's trace and zero in the guide's. Zero has
# to be put in two places there, in ``log_prob`` and in ``score_parts``, from which Pyro makes the gradient: leaving the
# second one alone gives a loss that looks right and trains something else.
#
# Written by hand, the loss of a MIN-VAE is minus the sum of :math:`r L^a + (1 - r) L^v -
# \mathrm{KL}(\mathrm{Bernoulli}(r) \,\|\, \mathrm{Bernoulli}(\pi))` over frames, equation :eq:`mixture-bound`. With the
# same seed both must give the same number. Here :math:`r = \frac{1}{2}` throughout, so that only the divergence of the
# code is looked at.

batch = talker_utterances(2, first_seed=5000)
trained = train_on_talker(talker_utterances(16, first_seed=1000))

prior, guide = (copy.deepcopy(part).double() for part in trained)
guide = MixtureGuide(prior, guide.audio, guide.visual, FixedResponsibility())
exact = batch.to(torch.float64)
exact = exact.replace(
    mouth_seen=torch.ones_like(exact.mouth_seen)
)  # a frame without a mouth would have r = 1
with torch.no_grad(), local_parameters(prior, guide):
    pyro.set_rng_seed(1)
    posterior = dist.Normal(*guide.posteriors(exact))
    p_alpha, audio, visual = guide.bounds(exact, posterior, guide.draw(posterior))
    half = dist.Bernoulli(0.5 * torch.ones_like(audio))
    by_hand = float(
        (
            0.5 * audio
            + 0.5 * visual
            - torch.distributions.kl_divergence(half, p_alpha)
        ).sum()
    )
    pyro.set_rng_seed(1)
    by_pyro = -AnalyticTraceEnum_ELBO(max_plate_nesting=2).loss(prior, guide, exact)
print(f"bound by hand {by_hand:.7f}, by AnalyticTraceEnum_ELBO {by_pyro:.7f} nats")
assert math.isclose(by_hand, by_pyro, rel_tol=1e-12)

# %%
# The encoders of a MIN-VAE
# -------------------------
#
# The whole bound has a second noisy part, the likelihood of the drawn code, :math:`\ell`, which both estimates share.
# The variance of a gradient by the draw is :math:`\mathrm{Var}[\nabla \ell] + \mathrm{Var}[\nabla k] - 2\,
# \mathrm{Cov}[\nabla \ell, \nabla k]`, in closed form the first term alone. What the closed form saves depends on how
# loud the likelihood is beside the divergence, and that changes as training goes on. The gradient by the weights of
# each encoder is drawn many times at four points; its total variance is the sum of the variances of all weights:
#
# * a decoder that starts from the long-term spectrum, as in lesson 1, and hardly listens to the code yet;
# * the same with the usual random weights;
# * random networks on random power of mean one, the usual toy problem;
# * the MIN-VAE after training.

DRAWS = 30


def untrained(listening: float | None) -> tuple[MinVAE, MixtureGuide]:
    """Random networks; if ``listening`` is given, the decoder is the long-term spectrum and so much of the weights."""
    torch.manual_seed(3)
    decoder = SpectrumDecoder()
    visual = MouthEncoder(MouthConvolution(channels=(8, 16, 32), features=64))
    if listening is not None:
        with torch.no_grad():
            decoder.log_variance.weight.mul_(listening)
            decoder.log_variance.bias.copy_(batch.power.mean((0, 1)).log())
    prior = MinVAE(decoder=decoder)
    return prior.eval(), MixtureGuide(
        prior, visual=visual, responsibility=FixedResponsibility()
    ).eval()


def gradients(
    elbo: ELBO, prior: MinVAE, guide: MixtureGuide, data: Utterances
) -> dict[str, Tensor]:
    """Gradients by the weights of each encoder, one row a draw, (DRAWS, weights)."""
    encoders = {
        "audio": list(guide.audio.parameters()),
        "visual": list(guide.visual.parameters()),
    }
    rows: dict[str, list[Tensor]] = {name: [] for name in encoders}
    with local_parameters(prior, guide):
        for draw in range(DRAWS):
            pyro.set_rng_seed(draw)
            loss = elbo.differentiable_loss(prior, guide, data) / data.mask.sum()
            for name, weights in encoders.items():
                gradient = torch.autograd.grad(loss, weights, retain_graph=True)
                rows[name].append(torch.cat([part.flatten() for part in gradient]))
    return {name: torch.stack(row) for name, row in rows.items()}


unit_power = torch.empty_like(batch.power).exponential_()
states = {
    "start from the long-term spectrum": (untrained(0.1), batch),
    "random decoder around it": (untrained(1.0), batch),
    "random networks, random data": (
        untrained(None),
        batch.replace(spectrum=unit_power, noisy_power=unit_power),
    ),
    "after training": (trained, batch),
}
ratios: dict[str, dict[str, float]] = {}
for state, ((prior, guide), data) in states.items():
    sampled = gradients(TraceEnum_ELBO(max_plate_nesting=2), prior, guide, data)
    analytic = gradients(
        AnalyticTraceEnum_ELBO(max_plate_nesting=2), prior, guide, data
    )
    ratios[state] = {}
    for encoder in ("audio", "visual"):
        noise, less_noise = (
            float(draws[encoder].var(0).sum()) for draws in (sampled, analytic)
        )
        apart = (sampled[encoder].mean(0) - analytic[encoder].mean(0)).norm()
        ratios[state][encoder] = noise / less_noise
        print(
            f"{state}, {encoder} encoder: variance by the draw over closed form {noise / less_noise:.2f}"
        )
        assert float(apart) < 2 * math.sqrt((noise + less_noise) / DRAWS), (
            "the means differ"
        )
assert min(ratios["start from the long-term spectrum"].values()) > 8
assert 2 < min(ratios["random networks, random data"].values()) < 5
assert 0.9 < ratios["after training"]["audio"] < 1.2

# %%
# The first steps are where the closed form counts: the likelihood tells the encoder little yet, and nearly all of the
# noise is that of a divergence which could be had without any. For random networks on random data it is a factor of
# three. After training the likelihood of 513 frequencies is so loud that nothing else is heard, and both estimates are
# equally good. (By the draw may even be a little better there: where :math:`q` is close to the true posterior,
# :math:`\nabla \ell` and :math:`\nabla k` point the same way and part of their noise cancels, see Roeder, Wu &
# Duvenaud, arXiv 1703.09194.) The closed form costs nothing, so the package always takes it.

figure = Figure(figsize=(9, 4.2), layout="constrained")
left, right = figure.subplots(1, 2, width_ratios=[1, 1.15])
scales = torch.linspace(0.08, 1.1, 50)
for m, colour, dash in zip(
    (0.0, 1.0, 2.0), (BLUE, VERMILLION, GREEN), ("-", "--", "-."), strict=True
):
    left.plot(scales, m**2 + 2 * scales**2, dash, color=colour, label=f"m = {m:.0f}")
    points = [(scale, float(measured[m, scale][1])) for m_, scale in cases if m_ == m]
    left.plot(*zip(*points, strict=True), "o", color=colour)
left.set(
    xlabel=r"standard deviation $\varsigma$ of the posterior",
    ylabel=r"variance of the derivative by $\varsigma$",
)
left.set(
    title="One dimension, by the draw\n(lines: derived; dots: measured)", yscale="log"
)
left.legend()
for place, (encoder, colour, hatch) in enumerate(
    (("audio", BLUE, ""), ("visual", VERMILLION, "//"))
):
    heights = [ratios[state][encoder] for state in ratios]
    positions = [row + 0.4 * place - 0.2 for row in range(len(ratios))]
    bars = right.barh(
        positions,
        heights,
        0.36,
        color=colour,
        hatch=hatch,
        edgecolor="white",
        label=f"{encoder} encoder",
    )
    right.bar_label(bars, fmt="%.1f", padding=3)
names = [
    state.replace(", ", ",\n")
    .replace("from the", "from the\n")
    .replace("decoder ", "decoder\n")
    for state in ratios
]
right.set_yticks(range(len(ratios)), names)
right.invert_yaxis()
right.axvline(1, color=GREY, linewidth=0.8)
right.set(
    xlabel="by the draw / in closed form",
    xlim=(0, 1.15 * max(max(r.values()) for r in ratios.values())),
)
right.set_title("Variance of the encoders' gradients")
right.legend(loc="lower right")
show(figure, "04_analytic_kl")

# %%
# Exercises
# ---------
#
# Each changes one thing. Say first what will come of it, then look at the solution, which checks it.
#
# **1. A wider prior.** :math:`p = N(0, t^2)` with :math:`t = 2`. What is the variance of the derivative by :math:`m`
# now?

# Solution 1
# the derivative is (m + scale eps) / t^2: scale^2 / t^4
eps = torch.randn(COPIES, dtype=torch.float64)
wider = (1.0 + 0.3 * eps) / 4
print(f"solution 1: {float(wider.var()):.5f}, predicted {0.3**2 / 16:.5f}")
assert math.isclose(float(wider.var()), 0.3**2 / 16, rel_tol=0.1)

# %%
# **2. Ten draws.** The estimate is averaged over ten draws. How noisy is it, and when is it as good as the closed form?

# Solution 2
# a tenth of the variance; never
tenth = gradient_draws(Trace_ELBO(), 1.0, 0.3).reshape(10, -1, 2).mean(0).var(0)
single = torch.tensor([0.3**2, 1 + 2 * 0.3**2], dtype=torch.float64)
print(f"solution 2: {float(tenth[1]):.4f}, predicted {float(single[1]) / 10:.4f}")
assert torch.allclose(tenth, single / 10, rtol=0.25)

# %%
# **3. A draw and its mirror image.** The estimate is averaged over :math:`\varepsilon` and :math:`-\varepsilon`. Which
# of the two derivatives becomes exact?

# Solution 3
# that by m, since its noise is odd in eps; of the other one m eps goes and scale eps^2 stays, 2 scale^2
scale, m = 0.3, 1.0
by_mean = 0.5 * ((m + scale * eps) + (m - scale * eps))
one, mirrored = (-1 / scale + m * draw + scale * draw.square() for draw in (eps, -eps))
by_scale = 0.5 * (one + mirrored)
print(
    f"solution 3: variances {float(by_mean.var()):.1e} and {float(by_scale.var()):.3f} (2 scale^2 = {2 * scale**2:.3f})"
)
assert float(by_mean.var()) < 1e-20
assert math.isclose(float(by_scale.var()), 2 * scale**2, rel_tol=0.1)

# %%
# **4. Nothing to learn.** The posterior is the prior, so the divergence and its derivatives are zero. Is the estimate
# quiet there?

# Solution 4
# no: its variances are 1 and 2, just where a code is not used at all
quiet = gradient_draws(Trace_ELBO(), 0.0, 1.0).var(0)
print(f"solution 4: variances {float(quiet[0]):.2f} and {float(quiet[1]):.2f}")
assert torch.allclose(quiet, torch.tensor([1.0, 2.0], dtype=torch.float64), rtol=0.1)

# %%
# **5. The value itself.** How noisy is :math:`k`, and how does it grow with the number of coordinates?

# Solution 5
# k = const + m scale eps + (scale^2 - 1) eps^2 / 2, so Var = m^2 scale^2 + (scale^2 - 1)^2 / 2 each; they add up
eps = torch.randn(COPIES, 32, dtype=torch.float64)
k = (0.5 * (m + scale * eps).square() - math.log(scale) - 0.5 * eps.square()).sum(1)
predicted = 32 * (m**2 * scale**2 + (scale**2 - 1) ** 2 / 2)
print(
    f"solution 5: variance of k in 32 dimensions {float(k.var()):.2f}, predicted {predicted:.2f}"
)
assert math.isclose(float(k.var()), predicted, rel_tol=0.1)
