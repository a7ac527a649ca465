r"""
Lesson 3: the responsibility, in closed form
============================================

How likely is it that the sound, and not the mouth, explains a frame? MIN-VAE's answer, the responsibility, need not
be learnt: given what both encoders have to say there is one best value, and at that value the bound becomes a
log-sum-exp. This lesson derives both in three lines, checks them by brute force and against Pyro, and compares the
collapsed bound with the table of responsibilities that the published recipe keeps (Sadeghi & Alameda-Pineda, arXiv
1912.10647).
"""

import copy

import pyro
import pyro.distributions as dist
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import logsigmoid

from minvae_pyro.guides import (
    CollapsedResponsibility,
    MixtureGuide,
    Responsibility,
    TableResponsibility,
)
from minvae_pyro.lessons import show
from minvae_pyro.lessons.mixture import (
    in_noise,
    rows_of,
    talker_utterances,
    train_on_talker,
)
from minvae_pyro.models import MinVAE
from minvae_pyro.plots.style import BLUE, GREEN, GREY, VERMILLION
from minvae_pyro.probability.elbo import AnalyticTraceEnum_ELBO
from minvae_pyro.probability.parameters import local_parameters
from minvae_pyro.utterances import Utterances

pyro.set_rng_seed(0)

# %%
# What each encoder achieves
# --------------------------
#
# Fix a frame and write :math:`L^a` for the bound of lesson 1 with the audio encoder and the audio component of the
# prior, :math:`L^v` for that with the visual ones (equation :eq:`branch-bound` of the page on the mathematics):
#
# .. math::
#
#    L^m = \mathbb{E}_{q(z \mid \alpha = m)}\left[\log p(s \mid z)\right]
#    - \mathrm{KL}\left(q(z \mid \alpha = m) \,\|\, p(z \mid \alpha = m)\right).
#
# The small MIN-VAE below has met a synthetic talker for a few seconds. Its audio encoder hears clean speech for half a
# second, speech in noise for the next, and so on; the mouth is always to be seen. Double precision, so that equal
# numbers can be seen to be equal.

training = talker_utterances(24, first_seed=1000)
sentence = talker_utterances(1, first_seed=5000).to(torch.float64)
noisy = in_noise(sentence.frames)
prior, guide = train_on_talker(training)


def both_bounds(
    guide: MixtureGuide, utterances: Utterances
) -> tuple[Tensor, Tensor, Tensor]:
    """Log-odds of the prior probability pi, L^a and L^v of each frame, (B, N) each, at one draw of z per encoder."""
    posterior = dist.Normal(*guide.posteriors(utterances))
    p_alpha, audio, visual = guide.bounds(utterances, posterior, guide.draw(posterior))
    return p_alpha.logits, audio, visual


prior, guide = prior.double(), guide.double()
with torch.no_grad():
    pyro.set_rng_seed(1)
    log_odds, audio, visual = (value[0] for value in both_bounds(guide, sentence))
for name, frames in (("clean", ~noisy), ("noisy", noisy)):
    print(
        f"{name} sound: L^a {audio[frames].median():6.0f}, L^v {visual[frames].median():6.0f} nats, median frame"
    )

# %%
# The best responsibility
# -----------------------
#
# With :math:`q(\alpha = 1) = r` the bound of the frame is the mean of both, less what deviating from the prior costs
# (equation :eq:`mixture-bound`):
#
# .. math::
#
#    \begin{aligned}
#    \mathcal{L}(r) & = r L^a + (1 - r) L^v - r \log\frac{r}{\pi} - (1 - r) \log\frac{1 - r}{1 - \pi} \\
#    & = - r \log\frac{r}{\pi e^{L^a}} - (1 - r) \log\frac{1 - r}{(1 - \pi) e^{L^v}}.
#    \end{aligned}
#
# The two numbers under :math:`r` and :math:`1 - r` are positive, but their sum :math:`Z = \pi e^{L^a} + (1 - \pi)
# e^{L^v}` is not one. Divide them by it and take it out of the logarithms. What remains are two probabilities,
# :math:`r^*` and :math:`1 - r^*`, a divergence, and :math:`r + (1 - r) = 1` times :math:`\log Z`:
#
# .. math::
#
#    \mathcal{L}(r) = \log Z - \mathrm{KL}\left(\mathrm{Bernoulli}(r) \,\|\, \mathrm{Bernoulli}(r^*)\right),
#    \qquad r^* = \frac{\pi e^{L^a}}{Z}.
#
# A divergence is never negative, and zero only where both are equal. So :math:`r = r^*` is best; dividing numerator and
# denominator by :math:`(1 - \pi) e^{L^v}` gives equation :eq:`best-responsibility`,
#
# .. math:: r^* = \mathrm{sigmoid}\left(\log\frac{\pi}{1 - \pi} + L^a - L^v\right),
#
# and at it the bound is :math:`\log Z`, equation :eq:`collapsed-bound`. The identity says more than that: it says what
# any other :math:`r` costs. (The numbers are large, so :math:`r^*` is nearly always 0 or 1: a frame that one encoder
# explains by ten nats better is decided.) A search over a grid of :math:`r` knows nothing of all this.


def divergence(one: Tensor, other: Tensor) -> Tensor:
    """KL divergence of two Bernoulli distributions from their log-odds, exact for odds of any size."""
    yes, no = logsigmoid(one) - logsigmoid(other), logsigmoid(-one) - logsigmoid(-other)
    return one.sigmoid() * yes + (-one).sigmoid() * no


best = (log_odds + audio - visual).sigmoid()
log_z = torch.logsumexp(
    torch.stack([logsigmoid(log_odds) + audio, logsigmoid(-log_odds) + visual]), 0
)

grid = torch.linspace(1e-4, 1 - 1e-4, 9999, dtype=torch.float64)[:, None]
bound = grid * audio + (1 - grid) * visual - divergence(grid.logit(), log_odds)
found = grid[bound.argmax(0), 0]
gap = log_z - bound - divergence(grid.logit(), log_odds + audio - visual)
print(
    f"closed form against search over r: largest difference {(best - found).abs().max():.1e} (grid step 1e-4)"
)
print(
    f"log Z - L(r) - KL(r || r*): largest value {gap.abs().max():.1e} nats, over all frames and all r"
)
assert (best - found).abs().max() < 1.5e-4
assert gap.abs().max() < 1e-8

# %%
# Pyro agrees
# -----------
#
# ``MixtureGuide`` with ``CollapsedResponsibility`` puts :math:`r^*` into the site ``alpha``, and the enumerated bound
# of model and guide comes out as the sum of :math:`\log Z` over frames. The same seed gives the same draws of
# :math:`z`, so the numbers must agree to the last digits.

guide.responsibility = CollapsedResponsibility()
with torch.no_grad(), local_parameters(prior, guide):
    pyro.set_rng_seed(1)
    loss = AnalyticTraceEnum_ELBO(max_plate_nesting=2).loss(prior, guide, sentence)
print(f"sum of log Z {log_z.sum():.6f}, enumerated ELBO of Pyro {-loss:.6f} nats")
assert abs(float(log_z.sum()) + loss) < 1e-6

# %%
# No gradient through the responsibility
# --------------------------------------
#
# :math:`r^*` depends on both encoders, for it is made of :math:`L^a` and :math:`L^v`. Must gradients pass through it?
# Where :math:`\mathcal{L}` is largest in :math:`r`, its derivative by :math:`r` is zero, and
#
# .. math:: \frac{d}{d\theta} \mathcal{L}(r^*(\theta), \theta) =
#    \frac{\partial \mathcal{L}}{\partial r} \frac{d r^*}{d\theta} + \frac{\partial \mathcal{L}}{\partial \theta}
#    = \frac{\partial \mathcal{L}}{\partial \theta}.
#
# So :math:`r^*` may be computed without a gradient and held fixed. Each encoder learns with the weight that it has
# earned, :math:`r^*` or :math:`1 - r^*`. (This is also how the mixture can collapse: an encoder that is worse
# everywhere is taught nowhere and stays worse. Training noise on the sound keeps both alive.)

weights = list(guide.audio.parameters()) + list(guide.visual.parameters())
pyro.set_rng_seed(1)
log_odds_, audio_, visual_ = both_bounds(guide, sentence)
through = torch.logsumexp(
    torch.stack([logsigmoid(log_odds_) + audio_, logsigmoid(-log_odds_) + visual_]), 0
).sum()
held = (best * audio_ + (1 - best) * visual_).sum()
gradients = [
    torch.cat(
        [g.flatten() for g in torch.autograd.grad(value, weights, retain_graph=True)]
    )
    for value in (through, held)
]
difference = float((gradients[0] - gradients[1]).norm() / gradients[0].norm())
print(
    f"gradient through r* against r* held fixed: relative difference {difference:.1e}"
)
assert difference < 1e-10

# %%
# The table of the published recipe
# ---------------------------------
#
# The published recipe stores one :math:`r` for each frame of the corpus and refreshes the table by the same formula
# once an epoch, with the encoders as they were when the frame came by. Between two refreshes the encoders move on, and
# by the identity above a stale :math:`r` costs :math:`\mathrm{KL}(r \,\|\, r^*)`. The model is trained on, once by each
# rule. At each step of the table that price is noted, at the draw of the step.


def train_on(
    rule: Responsibility, epochs: int = 5
) -> tuple[MinVAE, MixtureGuide, list[float]]:
    """Train copies of prior and guide under a rule; the third result is KL(r || r*), nats a frame, at each step."""
    prior_, guide_ = copy.deepcopy((prior, guide))
    prior_.float()
    guide_.float().eval()
    guide_.responsibility = rule.train()
    climber = AnalyticTraceEnum_ELBO(max_plate_nesting=2)
    adam = torch.optim.Adam([*prior_.parameters(), *guide_.parameters()], lr=3e-4)
    price = []
    with local_parameters(prior_, guide_):
        for epoch in range(epochs):
            for step, rows in enumerate(torch.randperm(len(training)).split(2)):
                batch = rows_of(training, rows)
                seed = 1000 * epoch + step
                if isinstance(rule, TableResponsibility):
                    pyro.set_rng_seed(seed)
                    with torch.no_grad():
                        log_odds, audio, visual = both_bounds(guide_, batch)
                    price.append(
                        float(
                            divergence(
                                rule.logit[rows], log_odds + audio - visual
                            ).mean()
                        )
                    )
                pyro.set_rng_seed(seed)
                loss = (
                    climber.differentiable_loss(prior_, guide_, batch)
                    / batch.mask.sum()
                )
                adam.zero_grad()
                loss.backward()
                adam.step()
            if isinstance(rule, TableResponsibility):
                rule.refresh()
    return prior_.double(), guide_.double(), price


rules = {
    "table": TableResponsibility(len(training), training.frames),
    "collapsed": CollapsedResponsibility(),
}
held_out = talker_utterances(4, first_seed=6000).to(torch.float64)
price: list[float] = []
reached = {}
for name, rule in rules.items():
    _, guide_, paid = train_on(rule)
    price = price or paid
    with torch.no_grad():
        pyro.set_rng_seed(2)
        log_odds, a, v = both_bounds(guide_, held_out)
        collapsed = torch.logsumexp(
            torch.stack([logsigmoid(log_odds) + a, logsigmoid(-log_odds) + v]), 0
        )
    reached[name] = float(collapsed.mean())
    print(
        f"trained by {name:9}: log Z of held-out speech {reached[name]:.1f} nats a frame"
    )
steps = len(training) // 2
by_epoch = torch.tensor(price).reshape(-1, steps).mean(1)
print(
    "cost of the stale table, nats a frame, by epoch:",
    ", ".join(f"{value:.1f}" for value in by_epoch.tolist()),
)
assert min(price) > -1e-3
assert by_epoch[0] > 10 * by_epoch[1:].mean()
assert reached["collapsed"] > reached["table"]

# %%
# The table starts from 1/2, which costs hundreds of nats until the first refresh; after it the price is that of
# encoders that move and of draws that differ. The collapsed bound pays nothing, stores nothing, and knows frames that
# it sees for the first time; here it also gets further in as many steps. It is the fixed point that the table runs
# after: where the encoders stand still, both are the same but for the draw.
#
# The figure: the bound over :math:`r` for three frames in which the choice is close, each relative to its best value,
# with the closed form dotted; what both encoders achieve in every frame of a sentence; the responsibility that follows;
# and the price of the table.

figure = Figure(figsize=(9, 6.8), layout="constrained")
(top_left, top_right), (low_left, low_right) = figure.subplots(2, 2)
colours = (BLUE, VERMILLION, GREEN)
for frame, colour, dash in zip(
    (best - 0.5).abs().argsort()[:3].tolist(), colours, ("-", "--", "-."), strict=True
):
    top_left.plot(
        grid[:, 0],
        bound[:, frame] - log_z[frame],
        dash,
        color=colour,
        label=f"frame {frame}",
    )
    top_left.axvline(float(best[frame]), color=colour, linestyle=":")
top_left.set(
    xlabel="responsibility $r$", ylabel="$L(r)$ below its best (nats)", ylim=(-12, 0.6)
)
top_left.set_title("The bound over $r$; dotted: $r^*$")
top_left.legend()

times = torch.arange(sentence.frames) * (533 / 16000)
for axes in (top_right, low_left):
    for start in range(15, sentence.frames, 30):
        end = min(start + 15, sentence.frames)
        label = "noise in the audio encoder" if start == 15 else None
        axes.axvspan(
            start * 533 / 16000,
            end * 533 / 16000,
            color=GREY,
            alpha=0.3,
            linewidth=0,
            label=label,
        )
    axes.set_xlabel("time (s)")
top_right.plot(times, audio, color=BLUE, label="$L^a$, sound")
top_right.plot(times, visual, "--", color=VERMILLION, label="$L^v$, mouth")
top_right.set(
    ylabel="bound (nats)", title="What each encoder achieves", ylim=(-6000, 2600)
)
top_right.legend(loc="lower right", fontsize="small")
low_left.plot(times, best, color=BLUE, marker=".")
low_left.set(title="The responsibility of the sound, $r^*$", yticks=[0, 0.5, 1])
low_left.set_yticklabels(["0 (mouth)", "0.5", "1 (sound)"])

low_right.semilogy(range(1, len(price) + 1), price, color=VERMILLION)
for epoch in range(1, len(price) // steps):
    low_right.axvline(epoch * steps + 0.5, color=GREY, linewidth=0.8)
low_right.set(
    xlabel="step (vertical lines: refreshes)", ylabel="KL$(r, r^*)$, nats per frame"
)
low_right.set_title("What a stored $r$ costs")
show(figure, "03_the_responsibility")

# %%
# Exercises
# ---------
#
# Each changes one thing. Say first what will come of it, then look at the solution, which checks it.
#
# **1. No decision.** With :math:`\pi = \frac{1}{2}`, :math:`r` is held at one half in all frames. What does that cost a
# frame whose bounds differ by :math:`d`?

# Solution 1
# log Z - (L^a + L^v) / 2 = log cosh(d / 2), about |d| / 2 - log 2
even_z = (
    torch.logsumexp(torch.stack([audio, visual]), 0)
    - torch.tensor(2.0, dtype=torch.float64).log()
)
cost = even_z - 0.5 * (audio + visual)
half = (audio - visual) / 2
formula = torch.logaddexp(half, -half) - torch.tensor(2.0, dtype=torch.float64).log()
print(
    f"solution 1: {float(cost.mean()):.1f} nats a frame, by the formula {float(formula.mean()):.1f}"
)
assert torch.allclose(cost, formula, atol=1e-6)

# %%
# **2. Trust the sound beforehand.** :math:`\pi` goes from one half to 0.99. Which frames change their mind?

# Solution 2
# those whose bounds differ by less than log 99 = 4.6 nats in favour of the mouth
prior_odds = torch.tensor(0.99, dtype=torch.float64).logit()
sides = ((audio - visual > 0) != (prior_odds + audio - visual > 0)).sum()
close = ((visual - audio >= 0) & (visual - audio < prior_odds)).sum()
print(f"solution 2: {int(sides)} of {len(audio)} frames; {int(close)} lie as close")
assert sides == close

# %%
# **3. Power in other units.** Both bounds rise by the same constant. What moves, :math:`r^*` or :math:`\log Z`?

# Solution 3
# log Z, by the constant; r* is made of the difference
raised = torch.logsumexp(torch.stack([audio + 100, visual + 100]), 0)
print(
    f"solution 3: log Z rises by {float((raised - torch.logsumexp(torch.stack([audio, visual]), 0)).mean()):.3f}"
)
assert torch.allclose(raised, torch.logsumexp(torch.stack([audio, visual]), 0) + 100)
assert torch.equal((audio + 100 > visual + 100), audio > visual)

# %%
# **4. Frames that say the same.** Frames overlap: suppose that each counts for a twentieth of one. Are decisions
# clearer or less clear?

# Solution 4
# less clear: the difference of the bounds is a twentieth, and r* moves towards one half
sure = (audio - visual).sigmoid()
doubtful = ((audio - visual) / 20).sigmoid()
print(
    f"solution 4: mean distance of r* from 1/2: {float((sure - 0.5).abs().mean()):.3f}, ",
    end="",
)
print(f"a twentieth {float((doubtful - 0.5).abs().mean()):.3f}")
assert ((doubtful - 0.5).abs() <= (sure - 0.5).abs()).all()

# %%
# **5. Other names.** :math:`\alpha = 1` means the mouth from now on. What becomes of :math:`r^*` and of the bound?

# Solution 5
# r* becomes 1 - r*, and the bound stays: a mixture does not know the names of its components
renamed = (visual - audio).sigmoid()
print(
    f"solution 5: largest deviation of r* from 1 - r*: {float((renamed - (1 - sure)).abs().max()):.1e}"
)
assert torch.allclose(renamed, 1 - sure)
assert torch.equal(torch.logaddexp(visual, audio), torch.logaddexp(audio, visual))
