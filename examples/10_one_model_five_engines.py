r"""
Lesson 10: one model, five engines (and a fast one)
===================================================

Model, start and noise of lesson 6 stay; what changes is how the posterior of the code is held and how it moves.
Variational EM, stochastic variational inference, a point, Metropolis-Hastings, Langevin dynamics: five ways to the
same posterior, each with its equation, and a sixth that is the second one without the overhead. All run here on one
recording from the same start, and are compared by what they cost, by what they reach, and by the filter that they end
with.
"""

import time
from typing import Any

import numpy as np
import pyro
import torch
from matplotlib.figure import Figure
from torch import Tensor

from minvae_pyro.checkpoints.checkpoint import load_checkpoint
from minvae_pyro.guides import MeanFieldGuide, UtteranceGuide
from minvae_pyro.inference import (
    FastVariational,
    InferenceEngine,
    LangevinEM,
    MetropolisHastingsEM,
    PointEM,
    StochasticVariational,
    VariationalEM,
)
from minvae_pyro.lessons import play, show
from minvae_pyro.lessons.talker import record
from minvae_pyro.models import NMFNoise, NoisyMixture
from minvae_pyro.plots.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILLION
from minvae_pyro.probability.elbo import AnalyticTraceEnum_ELBO
from minvae_pyro.probability.parameters import local_parameters

torch.manual_seed(0)
checkpoint = load_checkpoint("a-vae-s1")
recording = record([3], "hum")
utterances = recording.utterances
frames = utterances.frames
begin = checkpoint.guide.encode_audio(utterances)
checkpoint.prior.requires_grad_(False)

# %%
# What they share
# ---------------
#
# The model is :math:`z_n \sim N(0, I)`, :math:`x_{nf} \mid z_n \sim N_c(0, V_{nf})` with
# :math:`V = g\, \sigma^2(z) + WH`. Every engine is expectation-maximisation: an E-step that makes :math:`q(z)` a
# better posterior, and an M-step that raises :math:`\mathbb{E}_q[\log p(x \mid z)]` over :math:`W`, :math:`H` and
# :math:`g` by the multiplicative updates of lesson 6. Their E-steps:
#
# ``svi`` holds :math:`q(z_n) = N(\mu_n, \mathrm{diag}\, \tau_n^2)` and follows the gradient of the bound (equation
# :eq:`noisy-bound`) at one draw, :math:`z = \mu + \tau \varepsilon`:
#
# .. math:: \mathcal{L} = \mathbb{E}_q\left[\log p(x \mid z)\right] - \mathrm{KL}\left(q(z) \,\|\, p(z)\right) .
#
# ``fast`` climbs the same bound. Pyro traces model and guide anew in every step, which is general and costs more than
# the arithmetic; ``fast`` traces once, sees that the bound has a closed form but for the likelihood, and goes on in
# plain torch.
#
# ``vem``, the paper's engine, keeps the speech (equation :eq:`vem-speech`): :math:`q(s)\, q(z)` with
# :math:`q(s) = N_c(\hat{s}, \hat{v})` in closed form,
#
# .. math::
#
#    \frac{1}{\hat{v}} = \mathbb{E}_q\left[\frac{1}{g\, \sigma^2(z)}\right] + \frac{1}{WH}, \qquad
#    \hat{s} = \frac{\hat{v}}{WH}\, x ,
#
# and then fits :math:`q(z)` to speech of power :math:`|\hat{s}|^2 + \hat{v}` as if it were clean. That is a bound on
# the bound. For every :math:`z`,
#
# .. math::
#
#    \log p(x \mid z) = \mathbb{E}_{q(s)}\left[\log \frac{p(x \mid s)\, p(s \mid z)}{q(s)}\right]
#    + \mathrm{KL}\left(q(s) \,\|\, p(s \mid x, z)\right) ,
#
# and :math:`q(s)`, which may not depend on :math:`z`, cannot make the divergence zero for all of them.
#
# ``map`` has no :math:`q` but one value of :math:`z`, at the top of
# :math:`\log p(x, z) = \log p(x \mid z) + \log p(z)`.
#
# ``mcem`` walks (equation :eq:`metropolis-step`): :math:`z'_n \sim N(z_n, \epsilon^2 I)`, accepted with probability
# :math:`\min(1, p(x, z') / p(x, z))`. Then :math:`p(z \mid x)` is what the walk tends to, since with a symmetric
# proposal both directions between two codes are taken equally often.
#
# ``langevin`` follows the gradient and adds noise (equation :eq:`langevin-step`),
#
# .. math::
#
#    z \leftarrow z + \frac{\eta}{2} \nabla_z \log p(x, z) + \sqrt{\eta}\, \varepsilon, \qquad
#    \varepsilon \sim N(0, I) ,
#
# with no step refused, so that the posterior is reached but for an error that vanishes with :math:`\eta`. Without the
# noise it is ``map``.

engines: dict[str, InferenceEngine] = {
    "svi": StochasticVariational(),
    "fast": FastVariational(),
    "vem": VariationalEM(),
    "map": PointEM(),
    "mcem": MetropolisHastingsEM(iterations=50),
    "langevin": LangevinEM(),
}

# %%
# The runs
# --------
#
# Every engine gets a fresh copy of the same start. After each iteration the clock (of the processor, so that other
# work on the machine does not count) is stopped, and the estimate of the speech is scored.


class Run:
    """One engine on the recording: what it reached after each iteration, and when."""

    def __init__(self, engine: InferenceEngine) -> None:
        self.engine = engine
        noise = NMFNoise(rank=4).start(utterances, torch.Generator().manual_seed(0))
        self.mixture = NoisyMixture(checkpoint.prior, noise, torch.ones(1, 1, 1))
        self.guide: UtteranceGuide = engine.posterior(
            MeanFieldGuide().start(checkpoint.prior, utterances, begin)
        )
        self.seconds: list[float] = []
        self.quality: list[float] = []
        torch.manual_seed(0)
        self.since = time.process_time()
        self.objective = engine(
            self.mixture, self.guide, utterances, callback=self.look
        )

    def look(self, *_: object) -> None:
        """Stop the clock and score."""
        spent = time.process_time() - self.since
        self.seconds.append(spent + (self.seconds[-1] if self.seconds else 0.0))
        with (
            torch.random.fork_rng()
        ):  # the engine's own draws go on as if nobody had looked
            self.quality.append(float(recording.quality(self.gain())))
        self.since = time.process_time()

    def gain(self) -> Tensor:
        """The Wiener filter, averaged over the posterior, (1, N, F)."""
        return self.engine.gain(self.mixture, self.guide, utterances, samples=8)


before = float(recording.before)
print(f"what is heard: SI-SDR {before:.2f} dB")
runs: dict[str, Run] = {}
for name, engine in engines.items():
    runs[name] = run = Run(engine)
    cost = f"{run.seconds[-1]:5.2f} s for {len(run.objective):3} iterations"
    print(
        f"{name:8}: {cost}, own objective {run.objective[-1]:8.1f} nats a frame, SI-SDR {run.quality[-1]:5.2f} dB"
    )
assert min(run.quality[-1] for run in runs.values()) > before + 4

# %%
# The objectives are not of one kind
# ----------------------------------
#
# Three of them are bounds, three are log-densities. They can be put side by side where mathematics says how they
# compare.
#
# *Bound on the bound.* At the end of ``vem``, evaluate the bound in which the speech is integrated out. It must lie
# higher, by :math:`\mathbb{E}_{q(z)}[\mathrm{KL}(q(s) \,\|\, p(s \mid x, z))]`.


def elbo(run: Run, draws: int = 20) -> float:
    """The bound with the speech integrated out, nats per frame, at where an engine stands."""
    bound = AnalyticTraceEnum_ELBO(max_plate_nesting=2)
    with (
        torch.no_grad(),
        pyro.validation_enabled(False),
        local_parameters(run.mixture, run.guide),
    ):
        losses = [
            float(bound.loss(run.mixture, run.guide, utterances)) for _ in range(draws)
        ]
    return -float(np.mean(losses)) / frames


integrated = {name: elbo(runs[name]) for name in ("svi", "fast", "vem")}
print(
    "bound with the speech integrated out: "
    + ", ".join(f"{name} {value:.1f}" for name, value in integrated.items())
)
gap = integrated["vem"] - runs["vem"].objective[-1]
print(f"vem: its own bound lies {gap:.1f} nats a frame below that")
assert gap > 0

# %%
# *Modes are not typical.* The density of a normal in :math:`L` dimensions is highest at the mean, where hardly a draw
# ever is: a draw has :math:`\log p` lower by :math:`\frac{1}{2} \chi^2_L`, which is :math:`L / 2` in the mean. With
# :math:`L = 32`, samplers should stay some 16 nats a frame below the summit that ``map`` climbs, or more, since the
# noise that is fitted to a point explains the rest the better.
#
# And a walk that refuses no step draws from a density that is too wide, by an error that vanishes with the step.
# Langevin with a third of the step should come to where Metropolis-Hastings is, which has no such error.

summit = runs["map"].objective[-1]
samplers = {name: runs[name].objective[-1] for name in ("mcem", "langevin")}
samplers["langevin, a third of the step"] = Run(
    LangevinEM(step_size=0.01 / 3)
).objective[-1]
for name, value in samplers.items():
    print(
        f"{name}: log p(x, z) {summit - value:.1f} nats a frame below that of map (L / 2 = 16)"
    )
walked, coarse, fine = samplers.values()
assert max(samplers.values()) < summit - 16
assert abs(fine - walked) < 0.5 * abs(coarse - walked)

# %%
# One filter
# ----------
#
# What the listener gets is the Wiener filter. Correlate those of the engines, over all times and frequencies.

filters = torch.stack([run.gain().flatten() for run in runs.values()])
likeness = torch.corrcoef(filters)
lowest = float(likeness.min())
print(f"correlation of the filters of any two engines: at least {lowest:.2f}")
print(
    f"fast takes {runs['svi'].seconds[-1] / runs['fast'].seconds[-1]:.1f} times less than svi"
)
assert lowest > 0.6
assert runs["fast"].seconds[-1] < 0.7 * runs["svi"].seconds[-1]

# %%
# One recording ranks nobody: docs/engines.md has the comparison on forty-two, and ``minvae ablate`` makes your own.
# What holds in general is in the equations: who integrates the speech out has the tighter bound; who keeps a whole
# posterior averages the filter over what is not known; who traces once is fast.

figure = Figure(figsize=(8, 8.5), layout="constrained")
grid = figure.add_gridspec(2, 2, height_ratios=[1.2, 1])
looks = (
    (BLUE, "-", "o"), (VERMILLION, "--", "s"), (GREEN, "-.", "^"),
    (PURPLE, ":", "D"), (ORANGE, "-", "v"), (BLACK, "--", "P"),
)  # fmt: skip
upper = figure.add_subplot(grid[0, :])
lower = figure.add_subplot(grid[1, 0])
for (name, run), (colour, dash, marker) in zip(runs.items(), looks, strict=True):
    look: dict[str, Any] = {
        "color": colour,
        "linestyle": dash,
        "marker": marker,
        "markersize": 4,
    }
    upper.semilogx(
        run.seconds, run.quality, label=name, markevery=len(run.seconds) // 6, **look
    )
    lower.plot(
        range(1, len(run.objective) + 1),
        run.objective,
        markevery=len(run.objective) // 6,
        **look,
    )
upper.axhline(before, color=GREY, linestyle=":")
upper.set(
    xlabel="processor time (s)",
    ylabel="SI-SDR (dB)",
    title="What each engine reaches, and when (dotted: what is heard)",
)
upper.legend(ncols=2)
top = max(run.objective[-1] for run in runs.values())
lower.set(
    xlabel="iteration",
    ylabel="own objective (nats per frame)",
    title="What each engine climbs",
    ylim=(top - 300, top + 20),
)
right = figure.add_subplot(grid[1, 1])
picture = right.imshow(likeness.numpy(), cmap="cividis", vmax=1)
for one in range(len(runs)):
    for other in range(len(runs)):
        value = float(likeness[one, other])
        shade = BLACK if value > (lowest + 1) / 2 else "#FFFFFF"
        right.text(
            one,
            other,
            f"{value:.2f}",
            ha="center",
            va="center",
            color=shade,
            fontsize="small",
        )
right.set_xticks(range(len(runs)), list(runs), rotation=45)
right.set_yticks(range(len(runs)), list(runs))
right.set_title("Correlation of their filters")
for axes in (upper, lower):
    axes.grid(alpha=0.3)
show(figure, "10_one_model_five_engines")

# %%
# In a notebook: what was heard, what two engines make of it, and what was said.

play(
    {
        "noisy": recording.noisy[0],
        **{
            f"enhanced by {name}": recording.estimate(runs[name].gain())[0]
            for name in ("fast", "vem")
        },
    }
)
play({"clean": recording.clean[0]})

# %%
# Exercises
# ---------
#
# Each changes one thing. Say first what will come of it, then look at the solution, which checks it.
#
# **1. In a hurry.** ``svi`` gets five iterations. Where is it by then?

# Solution 1
# on its way: the noise is hardly learnt
hurried = Run(StochasticVariational(iterations=5))
print(
    f"solution 1: {hurried.quality[-1]:.2f} dB after 5 iterations, {runs['svi'].quality[-1]:.2f} dB in the end"
)
assert hurried.quality[-1] < runs["svi"].quality[-1]

# %%
# **2. Ask twice.** The filter of ``map`` is asked for twice, and so is that of ``svi``. Which of them repeats itself?

# Solution 2
# the point: the other one is averaged over eight draws
repeats = {
    name: bool(torch.equal(runs[name].gain(), runs[name].gain()))
    for name in ("map", "svi")
}
print(f"solution 2: the same twice: {repeats}")
assert repeats == {"map": True, "svi": False}

# %%
# **3. Sixteen nats, how exactly?** A draw from a normal in :math:`L` dimensions lies :math:`\frac{1}{2} \chi^2_L` below
# the summit. What are mean and standard deviation for :math:`L = 32`?

# Solution 3
# L / 2 = 16 and sqrt(L / 2) = 4
depth = 0.5 * torch.randn(20_000, 32).square().sum(1)
print(f"solution 3: {float(depth.mean()):.2f} +- {float(depth.std()):.2f} nats below")
assert abs(float(depth.mean()) - 16) < 0.2
assert abs(float(depth.std()) - 4) < 0.2

# %%
# **4. Half the filter.** All gains are halved. What becomes of the SI-SDR?

# Solution 4
# nothing: the level is fitted before anything is measured
gain = runs["fast"].gain()
whole, halved = (float(recording.quality(share * gain)) for share in (1.0, 0.5))
print(f"solution 4: {whole:.3f} and {halved:.3f} dB")
assert abs(whole - halved) < 1e-2

# %%
# **5. A committee.** Average the filters of all engines. Does the mean correlate with each of them better than they do
# among themselves?

# Solution 5
# yes, as a mean does: what each errs in by itself cancels
committee = filters.mean(0)
with_each = [
    float(torch.corrcoef(torch.stack([committee, one]))[0, 1]) for one in filters
]
print(
    f"solution 5: at least {min(with_each):.2f} with the mean, {lowest:.2f} among themselves"
)
assert min(with_each) > lowest
