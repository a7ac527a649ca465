r"""
Lesson 2: the mixture posterior, and why it is enumerated
=========================================================

A talker can be heard and seen. MIN-VAE (Sadeghi & Alameda-Pineda, IEEE TSP 69, 2021, arXiv 1912.10647) gives each
frame two encoders, one for the sound and one for the mouth, and a latent switch :math:`\alpha_n` that says which of
them explains the frame. The switch is discrete, so no gradient passes through a draw of it. This lesson writes model
and guide as Pyro programs and compares the two ways out: the score-function estimate, known as REINFORCE, and
enumeration. Their difference in variance is derived first and then measured.
"""

import math

import pyro
import pyro.distributions as dist
import torch
from matplotlib.figure import Figure
from pyro import poutine
from pyro.infer import Trace_ELBO, TraceEnum_ELBO
from torch import Tensor

from minvae_pyro.lessons import show
from minvae_pyro.lessons.mixture import talker_utterances, train_on_talker
from minvae_pyro.plots.style import BLUE, GREY, VERMILLION
from minvae_pyro.probability.elbo import AnalyticTraceEnum_ELBO
from minvae_pyro.probability.parameters import local_parameters

pyro.set_rng_seed(0)

# %%
# Two seconds of somebody who is heard and seen
# ---------------------------------------------
#
# Sound and film come from a synthetic talker, one picture of the mouth for each frame of the spectrum. A small MIN-VAE
# has been trained on this talker for a few seconds; how does not matter here. In every other half second its audio
# encoder hears noise besides, as in the paper's training, so that sometimes the one encoder is the better one and
# sometimes the other. What they say of these frames is computed once: the audio posterior :math:`N(m_a,
# \mathrm{diag}\,\varsigma_a^2)` and the visual posterior :math:`N(m_v, \mathrm{diag}\,\varsigma_v^2)` of each frame's
# code. The spectrum is given as power; lesson 1 showed that an exponential likelihood of the power is as good as a
# complex normal one of the coefficients.

N = 60
prior, trained = train_on_talker(talker_utterances(24, first_seed=1000))
sentence = talker_utterances(1, first_seed=5000)
power = sentence.power[0, :N]
with torch.no_grad():
    m_a, s_a = (value[0, :N] for value in trained.encode_audio(sentence))
    m_v, s_v = (value[0, :N] for value in trained.encode_visual(sentence))
    audio_prior, visual_prior = (
        prior.audio_component(sentence),
        prior.visual_component(sentence),
    )
    pi = prior.alpha_prior(sentence).mean[0, 0]  # the same in every frame
L = prior.latent_dim
print(f"{N} frames; the learnt prior probability of the sound is {pi:.2f}")

# %%
# The mixture
# -----------
#
# The story of a frame has one line more than that of lesson 1: a biased coin :math:`\alpha_n` chooses the component of
# the code, 1 for the sound and 0 for the mouth (equation :eq:`mixture-story` of the page on the mathematics). The
# coin's bias :math:`\pi` and the means and standard deviations of both components are learnt.
#
# .. math::
#
#    \begin{aligned}
#    \alpha_n & \sim \mathrm{Bernoulli}(\pi), \\
#    z_n \mid \alpha_n = 1 & \sim N(\mu_a, t_a^2 I), \\
#    z_n \mid \alpha_n = 0 & \sim N(\mu_v, t_v^2 I), \\
#    s_n \mid z_n & \sim N_c\left(0, \mathrm{diag}\,\sigma^2(z_n)\right).
#    \end{aligned}
#
# The posterior is a mixture as well: :math:`q(\alpha_n = 1) = r_n`, the *responsibility* of the sound, and given
# :math:`\alpha_n` the code comes from the one encoder or the other. The density of the code is therefore :math:`r_n
# N(m_a, \varsigma_a^2) + (1 - r_n) N(m_v, \varsigma_v^2)`, equation :eq:`mixture-posterior`: two opinions side by side.
# One encoder that takes in sound and picture together has to say a single normal, and where one of the two is wrong
# there is no switch to turn it off.
#
# Everything is chosen by broadcasting, ``torch.where``: the programs must work when ``alpha`` is one number per frame,
# and when it comes with an axis that holds both of its values.

log_odds = torch.zeros(
    N, requires_grad=True
)  # of r: both encoders are equally likely to begin with


def story(power: Tensor) -> None:
    """MIN-VAE as a Pyro model."""
    with pyro.plate("frames", N):
        alpha = pyro.sample("alpha", dist.Bernoulli(pi))
        audio = (alpha == 1)[..., None]
        mean, scale = (
            torch.where(audio, a, v)
            for a, v in zip(audio_prior, visual_prior, strict=True)
        )
        z = pyro.sample("z", dist.Normal(mean, scale).to_event(1))
        pyro.sample("s", dist.Exponential(1 / prior.decoder(z)).to_event(1), obs=power)


def sampled(power: Tensor) -> None:
    """The mixture posterior; alpha is drawn."""
    with pyro.plate("frames", N):
        alpha = pyro.sample("alpha", dist.Bernoulli(logits=log_odds))
        audio = (alpha == 1)[..., None]
        pyro.sample(
            "z",
            dist.Normal(
                torch.where(audio, m_a, m_v), torch.where(audio, s_a, s_v)
            ).to_event(1),
        )


def enumerated(power: Tensor) -> None:
    """The same posterior; alpha takes both of its values at once."""
    with poutine.infer_config(
        config_fn=lambda site: (
            {"enumerate": "parallel"} if site["name"] == "alpha" else {}
        )
    ):
        sampled(power)


# %%
# ``infer={"enumerate": "parallel"}`` at the site ``alpha`` is all that enumeration asks for. (It usually stands in the
# ``pyro.sample`` statement; here it is added from outside so that both programs are one.) Under it Pyro gives ``alpha``
# the values 0 and 1 along a new axis to the left of all plates. The frames are independent, so two rows are enough: not
# :math:`2^N` combinations, which is what a model without the plate would mean.

with torch.no_grad():
    both = poutine.trace(poutine.enum(enumerated, first_available_dim=-2)).get_trace(
        power
    )
    told = poutine.trace(poutine.replay(story, both)).get_trace(power)
told.compute_log_prob()
for site in ("alpha", "z", "s"):
    value, log_density = (
        tuple(told.nodes[site][part].shape) for part in ("value", "log_prob")
    )
    print(f"{site:5} value {value}, log-density {log_density}")
assert told.nodes["alpha"]["value"].shape == (2, 1)
assert told.nodes["z"]["value"].shape == (2, N, L)
assert told.nodes["s"]["log_prob"].shape == (2, N)

# %%
# Two estimates of one gradient
# -----------------------------
#
# Take one frame, drop its index, and write :math:`f_\alpha` for what the frame contributes to the bound once
# :math:`\alpha` and a draw of :math:`z` from its encoder are given,
#
# .. math::
#
#    f_\alpha = \log p(s \mid z) + \log\frac{p(z \mid \alpha)}{q(z \mid \alpha)} + \log\frac{p(\alpha)}{q(\alpha)}.
#
# The bound is :math:`\mathbb{E}_q[f] = r f_1 + (1 - r) f_0`, averaged over the draws of :math:`z`. Let :math:`\lambda =
# \log\frac{r}{1 - r}` be the parameter; then :math:`dr/d\lambda = r (1 - r)`, and *enumeration* differentiates the sum:
#
# .. math:: g^{\mathrm{enum}} = r (1 - r) (f_1 - f_0).
#
# *REINFORCE* (Williams, 1992) draws :math:`\alpha` and writes the derivative of the probability as :math:`\nabla q =
# q\, \nabla \log q`, so that the gradient becomes an expectation, which a draw estimates:
#
# .. math::
#
#    g^{\mathrm{score}} = f_\alpha \frac{d \log q(\alpha)}{d\lambda} =
#    \begin{cases}
#    (1 - r)\, f_1 & \text{with probability } r, \\
#    - r\, f_0 & \text{with probability } 1 - r.
#    \end{cases}
#
# Both have the same mean. (:math:`f` contains :math:`- \log q(\alpha)` and so depends on :math:`\lambda` itself, but
# the mean of that derivative is :math:`- \sum_\alpha q\, \nabla \log q = - \nabla \sum_\alpha q = 0`: both leave it
# out.) A variable with two values :math:`a, b` has the variance :math:`r (1 - r) (a - b)^2`; so, given :math:`z`,
#
# .. math:: \mathrm{Var}\left[g^{\mathrm{score}} \mid z\right] = r (1 - r) \left((1 - r) f_1 + r f_0\right)^2,
#
# while that of enumeration is zero; what the draw of :math:`z` adds is the same for both. By the law of total variance,
#
# .. math::
#
#    \mathrm{Var}\left[g^{\mathrm{score}}\right] = \mathrm{Var}\left[g^{\mathrm{enum}}\right]
#    + r (1 - r)\, \mathbb{E}_z\left[\left((1 - r) f_1 + r f_0\right)^2\right].
#
# Enumeration depends on the *difference* of the two values of :math:`f`, REINFORCE on their *size*: a log-density of
# 513 frequencies, hundreds or thousands of nats. Subtracting a baseline :math:`b` from :math:`f` helps, and :math:`b =
# (1 - r) f_1 + r f_0` would even remove the second term, but to know it one has to evaluate both branches, which is
# enumeration.

DRAWS = 300


def gradients(elbo: TraceEnum_ELBO | Trace_ELBO, guide: object) -> Tensor:
    """Gradients of the bound by the log-odds of each frame, one row a draw, (DRAWS, N)."""
    rows = [
        torch.autograd.grad(-elbo.differentiable_loss(story, guide, power), log_odds)[0]
        for _ in range(DRAWS)
    ]
    return torch.stack(rows)


by_score = gradients(Trace_ELBO(), sampled)
by_sum = gradients(TraceEnum_ELBO(max_plate_nesting=1), enumerated)

with torch.no_grad():
    f = []
    for m, s, component, weight in (
        (m_v, s_v, visual_prior, 1 - pi),
        (m_a, s_a, audio_prior, pi),
    ):
        q_z, p_z = dist.Normal(m, s).to_event(1), dist.Normal(*component).to_event(1)
        z = q_z.sample((DRAWS,))
        likelihood = dist.Exponential(1 / prior.decoder(z)).log_prob(power).sum(-1)
        f.append(
            likelihood
            + p_z.log_prob(z)
            - q_z.log_prob(z)
            + weight.log()
            - math.log(0.5)
        )
    by_hand = 0.25 * (f[1] - f[0])
    extra = 0.25 * (0.5 * (f[1] + f[0])).square().mean(0)

# %%
# The means agree within their errors, the enumerated gradient is the one by hand, and the variance of REINFORCE is as
# predicted.

error = ((by_score.var(0) + by_sum.var(0)) / DRAWS).sqrt()
deviation = (by_score.mean(0) - by_sum.mean(0)) / error
ratio = by_score.var(0) / by_sum.var(0)
predicted = by_hand.var(0) + extra
print(
    f"means differ by {deviation.square().mean().sqrt():.2f} standard errors (root mean square over frames)"
)
for name, drawn in (("enumerated", by_sum), ("REINFORCE", by_score)):
    print(
        f"standard deviation of the gradient, median frame: {drawn.std(0).median():6.1f} nats {name}"
    )
low, middle, high = (
    float(value) for value in ratio.quantile(torch.tensor([0.0, 0.5, 1.0]))
)
print(
    f"variance of REINFORCE over that of enumeration: median {middle:.0f}, from {low:.0f} to {high:.0f}"
)
print(
    f"measured variance of REINFORCE over the predicted one: median {(by_score.var(0) / predicted).median():.2f}"
)
assert deviation.square().mean().sqrt() < 1.5
from_hand = (by_sum.mean(0) - by_hand.mean(0)) / (
    (by_sum.var(0) + by_hand.var(0)) / DRAWS
).sqrt()
assert from_hand.square().mean().sqrt() < 1.5
assert (ratio > 1).all()
assert 0.8 < (by_score.var(0) / predicted).median() < 1.25

# %%
# What the noise does to learning
# -------------------------------
#
# The log-odds are now learnt from 1/2 on, by Adam, once with each estimate. The best responsibility is known in closed
# form, :math:`r^* = \mathrm{sigmoid}(\mathbb{E}[f_1] - \mathbb{E}[f_0])` with :math:`f` taken at :math:`r =
# \frac{1}{2}` (lesson 3 derives it), so the distance to it can be watched. Where :math:`f` is large, REINFORCE pushes
# towards or away from whichever value happened to be drawn, nearly regardless of what the other one would have given.

best = (f[1].mean(0) - f[0].mean(0)).sigmoid()


def learn(
    elbo: TraceEnum_ELBO | Trace_ELBO, guide: object, steps: int = 120
) -> list[float]:
    """Distance of r from its best value, mean over frames, before each step and after the last."""
    with torch.no_grad():
        log_odds.zero_()
    climb = torch.optim.Adam([log_odds], lr=0.1)
    distance = []
    for _ in range(steps):
        distance.append(float((log_odds.detach().sigmoid() - best).abs().mean()))
        (log_odds.grad,) = torch.autograd.grad(
            elbo.differentiable_loss(story, guide, power), log_odds
        )
        climb.step()
    return [*distance, float((log_odds.detach().sigmoid() - best).abs().mean())]


learnt = {
    "enumerated": learn(TraceEnum_ELBO(max_plate_nesting=1), enumerated),
    "REINFORCE": learn(Trace_ELBO(), sampled),
}
for name, distance in learnt.items():
    print(
        f"{name:10}: distance from the best responsibility {distance[0]:.2f} -> {distance[-1]:.3f}"
    )
assert learnt["enumerated"][-1] < 0.5 * learnt["REINFORCE"][-1]

# %%
# The package
# -----------
#
# ``MixtureGuide`` and the priors with a switch are these programs with one more plate, over utterances. Their bound,
# ``AnalyticTraceEnum_ELBO``, enumerates, and takes the divergence of ``z`` in closed form as well (lesson 4).
# Forgetting to enumerate would be a quiet mistake, for the loss it gives is plausible. With validation on, it is an
# error:

with local_parameters(prior, trained), torch.no_grad():
    loss = AnalyticTraceEnum_ELBO(max_plate_nesting=2).loss(prior, trained, sentence)
    print(f"the bound of the package: {-loss / sentence.frames:.0f} nats a frame")
    forgetful = poutine.infer_config(
        trained, config_fn=lambda site: {"enumerate": None}
    )
    try:
        with pyro.validation_enabled():
            AnalyticTraceEnum_ELBO(max_plate_nesting=2).loss(prior, forgetful, sentence)
        raise AssertionError("a sampled alpha went unnoticed")
    except ValueError as error:
        print("without enumeration:", error)

# %%
# The figure: the density of the code of one frame along the line through both opinions; the gradients of one frame's
# log-odds by both estimates; their variances in all frames against the prediction; and what becomes of learning.

frame = int(ratio.argsort()[N // 2])
figure = Figure(figsize=(8.5, 6.5), layout="constrained")
(top_left, top_right), (low_left, low_right) = figure.subplots(2, 2)

position = torch.linspace(-0.6, 1.6, 300)
line = m_v[frame] + position[:, None] * (m_a[frame] - m_v[frame])
direction = (m_a[frame] - m_v[frame]) / (m_a[frame] - m_v[frame]).norm()
for r, dash in ((0.1, ":"), (0.5, "-"), (0.9, "--")):
    density = torch.zeros(len(position))
    for weight, mean, scale in (
        (r, m_a[frame], s_a[frame]),
        (1 - r, m_v[frame], s_v[frame]),
    ):
        along = float((direction * scale).square().sum().sqrt())
        density += (
            weight
            * dist.Normal(float(mean @ direction), along)
            .log_prob(line @ direction)
            .exp()
        )
    top_left.plot(position, density, dash, color=BLUE, label=f"r = {r}")
top_left.axvline(0, color=GREY, linewidth=0.8)
top_left.axvline(1, color=GREY, linewidth=0.8)
top_left.set_xticks([0, 1], ["$m_v$", "$m_a$"])
top_left.set(
    xlabel="code, along the line through both means",
    ylabel="density",
    title="One frame's mixture posterior",
)
top_left.legend()

limit = float(by_score[:, frame].abs().max())
bins = torch.linspace(-limit, limit, 61).tolist()
for name, drawn, colour in (
    ("REINFORCE", by_score, VERMILLION),
    ("enumerated", by_sum, BLUE),
):
    top_right.hist(
        drawn[:, frame].numpy(), bins=bins, color=colour, alpha=0.7, label=name
    )
top_right.axvline(
    float(by_sum[:, frame].mean()), color="black", linestyle=":", label="mean"
)
top_right.set(
    xlabel="gradient (nats)", ylabel="draws", title="Gradient of one frame's log-odds"
)
top_right.legend()

low_left.loglog(predicted, by_score.var(0), "o", color=VERMILLION, label="REINFORCE")
low_left.loglog(by_hand.var(0), by_sum.var(0), "s", color=BLUE, label="enumerated")
ends = [float(by_sum.var(0).min()) / 2, float(by_score.var(0).max()) * 2]
low_left.loglog(ends, ends, color=GREY, linewidth=0.8)
low_left.set(
    xlabel="predicted variance",
    ylabel="measured variance",
    title="Variance of the gradient, all frames",
)
low_left.legend()

low_right.plot(learnt["REINFORCE"], "--", color=VERMILLION, label="REINFORCE")
low_right.plot(learnt["enumerated"], color=BLUE, label="enumerated")
low_right.set(
    xlabel="step of Adam",
    ylabel="mean $|r - r^*|$",
    ylim=(0, None),
    title="Learning the responsibility",
)
low_right.legend()
show(figure, "02_the_mixture_posterior")

# %%
# Exercises
# ---------
#
# Each changes one thing. Say first what will come of it, then look at the solution, which checks it.
#
# **1. A baseline.** From :math:`f` a constant is subtracted, its mean over draws. What becomes of either variance?

# Solution 1
# the difference f_1 - f_0 stays and so does enumeration; the second moment falls to a variance
size = 0.5 * (f[1] + f[0])
with_baseline = 0.25 * (size - size.mean(0)).square().mean(0)
print(
    f"solution 1: the extra variance falls {float((extra / with_baseline).median()):.1f} times in the median frame"
)
assert (with_baseline < extra).all()

# %%
# **2. Other odds.** :math:`r = 0.9` in place of one half. Put it into the formula for the variance, and draw.

# Solution 2
r, values = 0.9, torch.stack(f)
chosen = torch.rand(50, DRAWS, N) < r
score = torch.where(chosen, (1 - r) * values[1], -r * values[0])
formula = (r * (1 - r) * (values[1] - values[0])).var(0)
formula += r * (1 - r) * ((1 - r) * values[1] + r * values[0]).square().mean(0)
agreement = float((score.reshape(-1, N).var(0) / formula).median())
print(f"solution 2: drawn variance over the formula {agreement:.3f}")
assert 0.9 < agreement < 1.1

# %%
# **3. Two encoders that agree.** The visual posterior is put equal to the audio one, and the components of the prior as
# well. Which of the two estimates notices?

# Solution 3
# f_1 = f_0: there is nothing to choose, and only enumeration says so in every single draw
agreeing = torch.stack([f[1], f[1]])
drawn = torch.where(torch.rand(DRAWS, N) < 0.5, 0.5 * agreeing[1], -0.5 * agreeing[0])
print(
    f"solution 3: standard deviation {float(drawn.std(0).median()):.0f} nats by REINFORCE, 0 by enumeration"
)
assert not (0.25 * (agreeing[1] - agreeing[0])).any()
assert (drawn.std(0) > 0).all()

# %%
# **4. More draws.** :math:`\alpha` is drawn four times for each draw of :math:`z`, and the gradients are averaged.
# Which part of the variance shrinks, and how much?

# Solution 4
# that of alpha given z, to a fourth; the variance of enumeration is left
chosen = torch.rand(50, 4, DRAWS, N) < 0.5
averaged = torch.where(chosen, 0.5 * f[1], -0.5 * f[0]).mean(1)
quarter = float(
    (averaged.reshape(-1, N).var(0) / (by_hand.var(0) + extra / 4)).median()
)
print(f"solution 4: drawn variance over Var[enum] + extra / 4: {quarter:.3f}")
assert 0.9 < quarter < 1.1

# %%
# **5. Another prior.** :math:`\pi` goes to 0.9. How far do the best log-odds move, and how many frames change sides?

# Solution 5
# by logit(0.9) - logit(pi), a few nats: little beside differences of hundreds
moved = (f[1].mean(0) - f[0].mean(0) + math.log(9) - pi.logit()).sigmoid()
print(
    f"solution 5: {int(((moved > 0.5) != (best > 0.5)).sum())} of {N} frames change sides"
)
assert (moved - best).sign().unique().numel() <= 2
assert ((moved > 0.5) != (best > 0.5)).float().mean() < 0.2
