r"""
Lesson 6: one noisy utterance, step by step
===========================================

A talker is heard in noise that no training has ever met. A prior of speech is at hand, the A-VAE that ships with the
package; of the noise nothing is known but that few spectra make it up. This lesson writes down the model of what is
heard, its bound, and the two steps that climb it in turn: stochastic variational inference for the code of the speech,
and multiplicative updates for the noise, which is learnt from random numbers. Everything here is Pyro and thirty lines
of loop; the engines of lesson 10 do nothing else.
"""

from itertools import pairwise

import pyro
import torch
from matplotlib.figure import Figure
from pyro.infer import SVI, TraceMeanField_ELBO
from pyro.optim import Adam
from torch import Tensor

from minvae_pyro.audio.mixing import mix_at_snr
from minvae_pyro.checkpoints.checkpoint import load_checkpoint
from minvae_pyro.evaluation.scores import si_sdr
from minvae_pyro.guides import MeanFieldGuide
from minvae_pyro.inference import StochasticVariational
from minvae_pyro.lessons import play, show
from minvae_pyro.models import NMFNoise, NoisyMixture
from minvae_pyro.models.speech_prior import Latent
from minvae_pyro.plots.style import BLACK, BLUE, GREY, VERMILLION
from minvae_pyro.probability.elbo import AnalyticTraceEnum_ELBO
from minvae_pyro.probability.parameters import local_parameters
from minvae_pyro.synthetic.noise import synthetic_noise
from minvae_pyro.synthetic.talker import speak
from minvae_pyro.utterances import Utterances

pyro.set_rng_seed(0)

# %%
# What is heard
# -------------
#
# Three seconds of speech beside a transformer, whose hum (harmonics of 50 Hz over a hiss) is as loud. Only their sum
# :math:`x` is given to inference; the parts are kept for scoring. The sum is scaled to unit root mean square, as the
# speech was on which the prior was trained.

checkpoint = load_checkpoint("a-vae-s1")
prior, stft = checkpoint.prior, checkpoint.stft
speech = speak(3.0, seed=3)
noisy, clean = mix_at_snr(speech, synthetic_noise("hum", len(speech), seed=4), 0.0)
level = noisy.square().mean().sqrt()
x = stft(noisy / level)  # (N, F) complex
true_noise = (
    stft((noisy - clean) / level).abs().square().mean(0)
)  # (F,), its mean spectrum
utterances = Utterances.from_spectrum(x)
before = float(si_sdr(clean, noisy))
print(
    f"{len(x)} frames of {x.shape[1]} frequencies; SI-SDR of what is heard {before:.2f} dB"
)

# %%
# The model
# ---------
#
# Speech is a circular complex normal given its code (lesson 1). Let the noise be one too, independent of the speech,
# with variances :math:`b_{nf} = \sum_k W_{fk} H_{kn}`: :math:`K` spectra, each of them louder or softer from frame to
# frame (non-negative matrix factorisation). And let the talker be louder or softer than the prior expects by one gain
# :math:`g`. A sum of independent normals is a normal whose variance is the sum of theirs, so the speech itself can be
# integrated out and never has to be sampled (equations :eq:`noisy-mixture` and :eq:`nmf-noise`):
#
# .. math::
#
#    z_n & \sim N(0, I), \\
#    x_{nf} \mid z_n & \sim N_c\left(0, V_{nf}\right), \qquad V_{nf} = g\, \sigma^2_f(z_n) + \sum_k W_{fk} H_{kn}.
#
# :math:`W` and :math:`H` start as random numbers, uniform around the mean power of the recording, speech included: all
# of it is taken for noise that does not change.

noise = NMFNoise(rank=4).start(utterances)
mixture = NoisyMixture(prior, noise, gain=torch.ones(1, 1, 1))
at_the_start = noise(utterances)[0].mean(
    0
)  # what the noise is taken for, averaged over time

# %%
# The bound
# ---------
#
# The posterior of every code is a normal with a mean and a standard deviation of its own,
# :math:`q(z_n) = N(\mu_n, \mathrm{diag}\, \tau_n^2)`. No encoder gives them: they are parameters, fitted to this one
# utterance. The audio encoder only says where they start, and it is wrong there, since it takes the noise for speech.
# The bound is that of every VAE, with the noise in its likelihood (equation :eq:`noisy-bound`),
#
# .. math::
#
#    \mathcal{L} = \sum_n \left( \mathbb{E}_{q}\Big[\sum_f -\log (\pi V_{nf}) - \frac{|x_{nf}|^2}{V_{nf}}\Big]
#    - \frac{1}{2} \sum_l \left[\mu_{nl}^2 + \tau_{nl}^2 - 1 - \log \tau_{nl}^2 \right] \right),
#
# and Pyro derives it from model and guide. There is no discrete variable here, so Pyro's own ``TraceMeanField_ELBO``,
# which takes the divergence in closed form, will do; the engine of the package uses a bound that enumerates as well,
# and without anything to enumerate they agree.

guide = MeanFieldGuide().start(
    prior, utterances, checkpoint.guide.encode_audio(utterances)
)
prior.requires_grad_(False)  # what training has made of it is not touched

values = []
for bound in (TraceMeanField_ELBO(), AnalyticTraceEnum_ELBO(max_plate_nesting=2)):
    pyro.set_rng_seed(1)  # the same draw of z
    with local_parameters(mixture, guide):
        values.append(-float(bound.loss(mixture, guide, utterances)) / len(x))
print(
    f"bound at the start: {values[0]:.4f} by Pyro's own ELBO, {values[1]:.4f} by the package's, nats a frame"
)
assert abs(values[0] - values[1]) < 1e-3

# %%
# The step of the noise
# ---------------------
#
# With the codes drawn, :math:`W` and :math:`H` should lower
# :math:`C = \sum_{nf} \left(|x_{nf}|^2 / V_{nf} + \log V_{nf}\right)`. Gradient steps could make them negative.
# Replace :math:`C` instead by a curve that lies above it, touches it at the present values (marked by a ring), and has
# a known minimum. The first term is convex in the parts of :math:`V`, and Jensen's inequality with the shares
# :math:`\phi_{k} = W^\circ_{fk} H^\circ_{kn} / V^\circ_{nf}` splits it; the second is concave and lies below its
# tangent:
#
# .. math::
#
#    \frac{|x|^2}{V} \le |x|^2 \sum_k \frac{\phi_k^2}{W_{fk} H_{kn}} + \dots, \qquad
#    \log V \le \log V^\circ + \frac{V - V^\circ}{V^\circ} .
#
# In a single :math:`H_{kn}` their sum has the form :math:`a / h + c\, h`, whose minimum is at :math:`\sqrt{a / c}`
# (equation :eq:`noise-update`):
#
# .. math::
#
#    H_{kn} = H^\circ_{kn} \sqrt{\frac{\sum_f W_{fk}\, |x_{nf}|^2 / V^{\circ 2}_{nf}}{\sum_f W_{fk} / V^\circ_{nf}}} ,
#
# and likewise for :math:`W` with sums over :math:`n`, and for :math:`g`. What is positive stays positive, and the
# likelihood cannot fall. Six lines:


def step_of_the_noise(
    W: Tensor, H: Tensor, g: Tensor, variance: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """W (F, K), H (K, N) and g moved in turn, V worked out anew before each; variance of speech (N, F)."""
    power = x.abs().square()
    V = g * variance + (W @ H).T
    H = H * ((W.T @ (power / V**2).T) / (W.T @ (1 / V).T)).sqrt()
    V = g * variance + (W @ H).T
    W = W * (((power / V**2).T @ H.T) / ((1 / V).T @ H.T)).sqrt()
    V = g * variance + (W @ H).T
    return W, H, g * ((power * variance / V**2).sum() / (variance / V).sum()).sqrt()


# %%
# ``mixture.m_step`` is the same, but for the scale of :math:`W`, which it moves into :math:`H`.


def log_likelihood(W: Tensor, H: Tensor, g: Tensor, variance: Tensor) -> float:
    """Give log p(x | z) in nats per frame."""
    V = g * variance + (W @ H).T
    return float((-(torch.pi * V).log() - x.abs().square() / V).sum()) / len(x)


z = guide.draw(1)["z"]  # (1 draw, 1 utterance, N, L)
with torch.no_grad():
    variance = prior.speech_variance(Latent(z), utterances)[0, 0]
factors = noise.spectra[0], noise.activations[0], mixture.gain[0, 0, 0]
by_hand = step_of_the_noise(*factors, variance)
mixture.m_step(Latent(z), utterances)
difference = (
    (by_hand[0] @ by_hand[1] / (noise.spectra[0] @ noise.activations[0]) - 1)
    .abs()
    .max()
)
rise = log_likelihood(*by_hand, variance) - log_likelihood(*factors, variance)
print(
    f"noise by hand against the package: largest relative difference {float(difference):.1e}"
)
print(f"one step of the noise raises log p(x | z) by {rise:.1f} nats a frame")
assert difference < 1e-3
assert rise > 0

# %%
# The loop
# --------
#
# Two steps of Adam on :math:`\mu` and :math:`\tau`, one step of the noise, sixty times. ``svi.step`` draws
# :math:`z = \mu + \tau \varepsilon`, evaluates the bound, follows its gradient. Pyro would keep parameters by name in
# one store for the whole process, where a second guide finds those of the first; ``local_parameters`` keeps them in
# the modules that they belong to.
#
# On the way we estimate the speech. Given the code, speech and mixture are jointly normal, and the mean of one given
# the other is the Wiener filter (equation :eq:`wiener-filter`),
#
# .. math:: \hat{s}_{nf} = \mathbb{E}_q\left[\frac{g\, \sigma^2_f(z_n)}{V_{nf}}\right] x_{nf} ,
#
# and score it by the *scale-invariant signal-to-distortion ratio*, in decibels. Inference never sees that number.


def distance(spectrum: Tensor) -> float:
    """Root mean square over frequencies of the difference to the true spectrum of the noise, decibels."""
    return float((10 * (spectrum / true_noise).log10()).square().mean().sqrt())


objective, quality, distances = [], [], [distance(at_the_start)]
noise = NMFNoise(rank=4).start(utterances, torch.Generator().manual_seed(0))
mixture = NoisyMixture(prior, noise, gain=torch.ones(1, 1, 1))
torch.manual_seed(0)
with pyro.validation_enabled(False), local_parameters(mixture, guide):
    svi = SVI(mixture, guide, Adam({"lr": 0.05}), TraceMeanField_ELBO())
    for iteration in range(1, 61):
        for _ in range(2):
            loss = svi.step(utterances)
        mixture.m_step(Latent(guide.draw(1)["z"]), utterances)
        filtered = (
            mixture.wiener_gain(Latent(guide.draw(8)["z"]), utterances).mean(0)[0] * x
        )
        objective.append(-loss / len(x))
        quality.append(float(si_sdr(clean, stft.inverse(filtered, len(noisy)))))
        distances.append(distance(noise(utterances)[0].mean(0)))
        if iteration in (1, 2, 5, 10, 20, 40, 60):
            row = (
                f"ELBO {objective[-1]:8.1f} nats a frame, SI-SDR {quality[-1]:5.2f} dB"
            )
            print(f"iteration {iteration:2}: {row}, noise {distances[-1]:4.1f} dB off")
print(f"noise spectrum: {distances[0]:.1f} dB off before, {distances[-1]:.1f} dB after")
best = max(range(60), key=quality.__getitem__)
print(
    f"highest SI-SDR: {quality[best]:.2f} dB after {best + 1} iterations; the objective rises on"
)
assert objective[-1] > objective[best] > objective[0] + 100
assert quality[-1] > before + 6
assert distances[-1] < 0.25 * distances[0]

# %%
# Nothing told the model which part is noise. What the prior cannot say (a hiss that is there in pauses too) only the
# factors can explain; what four fixed spectra cannot say (syllables) only the codes can. The objective knows no clean
# speech, and yet the score rises with it, for a while: at the end the objective still rises, the noise is known better
# than ever, and the score has come down by a decibel. What explains the mixture best need not be the best estimate of
# the speech. Lesson 7 is about where the two part.
#
# The engine ``svi`` of the package is this loop, for any prior, guide and noise.

fresh = NoisyMixture(
    prior,
    NMFNoise(rank=4).start(utterances, torch.Generator().manual_seed(0)),
    torch.ones(1, 1, 1),
)
again = MeanFieldGuide().start(
    prior, utterances, checkpoint.guide.encode_audio(utterances)
)
torch.manual_seed(0)
engine = StochasticVariational(iterations=60, steps=2, learning_rate=0.05)
trace = engine(fresh, again, utterances)
filtered = engine.gain(fresh, again, utterances, samples=8)[0] * x
by_engine = float(si_sdr(clean, stft.inverse(filtered, len(noisy))))
print(
    f"engine svi: ELBO {trace[-1]:.1f} nats a frame, SI-SDR {by_engine:.2f} dB; this loop: {quality[-1]:.2f} dB"
)
assert abs(by_engine - quality[-1]) < 0.5

# %%
# The figure: objective and score over the iterations, and the spectrum of the noise as it is, as it started and as it
# was learnt. What was taken for noise at the start above 1 kHz was speech.

figure = Figure(figsize=(7.5, 7.5), layout="constrained")
grid = figure.add_gridspec(3, 2, height_ratios=[1, 1, 1.7])
upper, middle = (figure.add_subplot(grid[row, :]) for row in range(2))
upper.plot(range(1, 61), objective, color=BLUE)
upper.set(ylabel="ELBO\n(nats per frame)")
upper.tick_params(labelbottom=False)
middle.plot(range(1, 61), quality, color=VERMILLION)
middle.axhline(before, color=GREY, linestyle=":", label="what is heard")
middle.set(xlabel="iteration", ylabel="SI-SDR (dB)")
middle.legend(loc="center right")
left, right = (figure.add_subplot(grid[2, column]) for column in range(2))
kilohertz = torch.linspace(0, stft.sample_rate / 2000, stft.frequencies).numpy()
for axes in (left, right):
    for name, spectrum, colour, dash in (
        ("at the start", at_the_start, GREY, ":"),
        ("as it is", true_noise, BLACK, "-"),
        ("learnt", noise(utterances)[0].mean(0), VERMILLION, "--"),
    ):
        decibels = 10 * spectrum.log10().numpy()
        axes.plot(
            kilohertz,
            decibels,
            color=colour,
            linestyle=dash,
            linewidth=1,
            label=f"noise {name}",
        )
left.set(
    xlim=(0, 0.6),
    xlabel="frequency (kHz)",
    ylabel="mean power (dB)",
    title="the noise below 0.6 kHz",
)
right.set(xlim=(0, 8), xlabel="frequency (kHz)", title="all of the noise")
right.legend(fontsize="small")
for axes in (upper, middle, left, right):
    axes.grid(alpha=0.3)
figure.align_ylabels([upper, middle, left])
show(figure, "06_svi_on_a_noisy_utterance")

# %%
# In a notebook: what was heard, what is left after the last iteration, and what was said.

play({"noisy": noisy, "enhanced": stft.inverse(filtered, len(noisy)), "clean": clean})

# %%
# Exercises
# ---------
#
# Each changes one thing. Say first what will come of it, then look at the solution, which checks it.
#
# **1. Who is louder?** :math:`W` is multiplied by ten and :math:`H` divided by it. What becomes of the likelihood?

# Solution 1
# it knows their product alone, so the scale is a convention
W, H, g = noise.spectra[0], noise.activations[0], mixture.gain[0, 0, 0]
with torch.no_grad():
    variance = prior.speech_variance(Latent(guide.draw(1)["z"]), utterances)[0, 0]
change = log_likelihood(10 * W, H / 10, g, variance) - log_likelihood(W, H, g, variance)
print(f"solution 1: log p(x | z) changes by {change:.1e} nats a frame")
assert abs(change) < 0.1

# %%
# **2. Silence as a start.** At 3 kHz the noise starts at zero. Where do the updates take it?

# Solution 2
# nowhere: what is multiplied stays zero, and all that is heard there is speech for ever
bin_of_3_khz = round(3000 * 1024 / stft.sample_rate)
quiet = W.clone()
quiet[bin_of_3_khz] = 0
moved = step_of_the_noise(quiet, H, g, variance)[0]
print(
    f"solution 2: noise at 3 kHz {float(moved[bin_of_3_khz].max()):.0f}, elsewhere up to {float(moved.max()):.2f}"
)
assert not moved[bin_of_3_khz].any()
assert moved.max() > 0

# %%
# **3. Without a new code.** The codes stay where they are, and the step of the noise is repeated twenty times. Can the
# likelihood fall?

# Solution 3
# never: each step goes to the minimum of a curve that lies above the cost
parts, heights = (W, H, g), []
for _ in range(20):
    heights.append(log_likelihood(*parts, variance))
    parts = step_of_the_noise(*parts, variance)
falls = min(b - a for a, b in pairwise(heights))
print(
    f"solution 3: log p(x | z) {heights[0]:.2f} -> {heights[-1]:.2f}, smallest rise {falls:.1e} nats a frame"
)
assert falls > -1e-2

# %%
# **4. The truth.** Give the Wiener filter the power of the clean speech and that of the true noise in every cell. How
# good can a filter be that changes no phase?

# Solution 4
# much better than ours, and not perfect: the phase stays that of the mixture
parts_heard = [stft(part / level).abs().square() for part in (clean, noisy - clean)]
oracle = parts_heard[0] / (parts_heard[0] + parts_heard[1]) * x
best_possible = float(si_sdr(clean, stft.inverse(oracle, len(noisy))))
print(
    f"solution 4: {best_possible:.1f} dB with the truth, {quality[-1]:.1f} dB without"
)
assert best_possible > max(quality)

# %%
# **5. Louder.** The estimate is played twice as loud. What becomes of its SI-SDR?

# Solution 5
# nothing: the measure fits the level first
estimate = stft.inverse(filtered, len(noisy))
print(
    f"solution 5: {float(si_sdr(clean, estimate)):.3f} dB, twice as loud {float(si_sdr(clean, 2 * estimate)):.3f} dB"
)
assert abs(float(si_sdr(clean, estimate)) - float(si_sdr(clean, 2 * estimate))) < 1e-3
