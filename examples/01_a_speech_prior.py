r"""
Lesson 1: a speech prior, from nothing
======================================

To take noise away from speech one has to know what speech is like. This lesson writes that knowledge down as a Pyro
program of five lines, a variational autoencoder over the frames of a spectrogram (Leglaive, Girin & Horaud, MLSP
2018, arXiv 1902.01605), trains it on a synthetic talker, draws frames of speech from it, and compares it with the
A-VAE that ships with the package. Everything in the other lessons, the mixture of encoders, the noise, the engines,
is built around these five lines.
"""

import copy
import math

import pyro
import pyro.distributions as dist
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from pyro import poutine
from pyro.infer import SVI, TraceMeanField_ELBO
from pyro.optim import ClippedAdam
from torch import Tensor

from minvae_pyro.audio.stft import STFT
from minvae_pyro.checkpoints.checkpoint import load_checkpoint
from minvae_pyro.guides import AudioGuide, NoisyAudioEncoder
from minvae_pyro.lessons import play, show
from minvae_pyro.models import AudioVAE
from minvae_pyro.nn.audio import SpectrumDecoder, SpectrumEncoder
from minvae_pyro.plots.style import BLUE, GREY, VERMILLION
from minvae_pyro.probability.elbo import AnalyticTraceEnum_ELBO
from minvae_pyro.probability.likelihoods import ComplexNormal
from minvae_pyro.probability.parameters import local_parameters
from minvae_pyro.synthetic.talker import draw_talker, speak
from minvae_pyro.utterances import Utterances

pyro.set_rng_seed(0)
pyro.clear_param_store()

# %%
# From sound to complex numbers
# -----------------------------
#
# The short-time Fourier transform cuts sound into :math:`N` overlapping frames, 64 ms each, and gives for each frame
# :math:`n` and frequency :math:`f = 1, \ldots, F` one complex coefficient :math:`s_{nf}`. With a sampling rate of 16
# kHz, :math:`F = 513`. Each utterance is scaled to unit root mean square first, so that the model need not learn how
# far away the microphone was.

stft = STFT()


def frames_of_speech(seeds: range, talker: int | None = None) -> Tensor:
    """Spectra of utterances of four seconds, joined along time, (N, F) complex."""
    voice = None if talker is None else draw_talker(talker)
    sounds = [speak(4.0, seed, talker=voice) for seed in seeds]
    return torch.cat([stft(sound / sound.square().mean().sqrt()) for sound in sounds])


training, held_out = frames_of_speech(range(40)), frames_of_speech(range(1000, 1010))
print(
    f"{len(training)} frames to train on, {len(held_out)} held out, {stft.frequencies} frequencies"
)

# %%
# A coefficient is a weighted sum of a thousand samples. Where within the sound a frame happens to begin is arbitrary,
# and a shift turns the phase of the coefficient: every phase is equally likely. The simplest density of a complex
# number that is a sum of many parts and has no preferred phase is the *circular complex normal* with one parameter, its
# variance :math:`v = \mathbb{E}|s|^2`,
#
# .. math:: N_c(s; 0, v) = \frac{1}{\pi v} \exp\left(-\frac{|s|^2}{v}\right).
#
# (It is equation :eq:`complex-normal` of the page on the mathematics.) Circular means that rotated by any phase,
# :math:`s` has the same law. By a quarter of a turn, :math:`s` becomes :math:`i s` and :math:`s^2` becomes :math:`-
# s^2`, so :math:`\mathbb{E}[s^2]` must be zero. That can be checked.

pseudo = (training.square().mean(0).abs() / training.abs().square().mean(0)).median()
print(
    f"|E s^2| / E|s|^2, median over frequencies: {pseudo:.3f} (0 for a circular variable, 1 for a real one)"
)
assert pseudo < 0.1

# %%
# The story of a frame
# --------------------
#
# How much power a frame has at each frequency depends on what is being said: vowel, fricative, pause. Let a code
# :math:`z_n \in \mathbb{R}^L`, :math:`L = 32`, stand for that, and let a neural network, the *decoder*, turn the code
# into :math:`F` variances :math:`\sigma^2(z_n)`:
#
# .. math::
#
#    \begin{aligned}
#    z_n & \sim N(0, I), \\
#    s_n \mid z_n & \sim N_c\left(0, \mathrm{diag}\,\sigma^2(z_n)\right).
#    \end{aligned}
#
# (Equation :eq:`vae-story`.) Given the code the coefficients are independent, of each other and of other frames;
# whatever they have in common must come through :math:`z_n`. In Pyro each line of the story is one ``pyro.sample``. The
# plate declares that frames are independent; ``to_event(1)`` declares that the last axis (the :math:`L` coordinates of
# the code, the :math:`F` frequencies) belongs to one variable, so that its log-density is summed.

L = 32
decoder = SpectrumDecoder(L)  # L -> 128 tanh units -> F variances


def story(frames: int, spectrum: Tensor | None = None) -> Tensor:
    """Speech from nothing; with a spectrum, the same story with its end known."""
    pyro.module("decoder", decoder)
    with pyro.plate("frames", frames):
        z = pyro.sample("z", dist.Normal(torch.zeros(L), 1.0).to_event(1))
        return pyro.sample("s", ComplexNormal(decoder(z)).to_event(1), obs=spectrum)


trace = poutine.trace(story).get_trace(128, training[:128])
trace.compute_log_prob()  # so that the table below has the shapes of the log-densities too
print(trace.format_shapes())

# %%
# To the right of the bar stands what belongs to one variable, to the left what is independent: 128 frames, and one
# log-density for each. ``AudioVAE`` of the package is the same story. It has one more plate, over utterances of
# different length, and ``spectrum`` comes in a batch type that carries the video too.

prior = AudioVAE(L, decoder)
with torch.no_grad():
    ours = poutine.trace(story).get_trace(128, training[:128])
    known = poutine.condition(prior, data={"z": ours.nodes["z"]["value"][None]})
    theirs = poutine.trace(known).get_trace(Utterances.from_spectrum(training[:128]))
    own_log_density, their_log_density = (
        float(ours.log_prob_sum()),
        float(theirs.log_prob_sum()),
    )
print(
    f"log p(s, z) by the five lines {own_log_density:.1f}, by AudioVAE {their_log_density:.1f}"
)
assert abs(own_log_density - their_log_density) < 1e-6 * abs(own_log_density)

# %%
# Power is all that counts
# ------------------------
#
# Write :math:`s = \sqrt{y}\, e^{i\varphi}` with the power :math:`y = |s|^2`. The area element of the complex plane is
# :math:`\frac{1}{2}\, dy\, d\varphi`; integrated over the phase, the density of the power is
#
# .. math:: p(y) = \int_0^{2\pi} \frac{1}{2} \cdot \frac{1}{\pi v} e^{-y / v}\, d\varphi = \frac{1}{v} e^{-y / v},
#
# an exponential distribution with mean :math:`v`. Hence
#
# .. math:: \log N_c(s; 0, v) = \log \mathrm{Exponential}(|s|^2; \text{mean } v) - \log \pi.
#
# The two differ by a constant that no parameter can move: they have the same gradients, and a corpus may be stored as
# power, which is half as large.

code = torch.randn(128, L)
scores, gradients = [], []
for likelihood, observed in (
    (ComplexNormal(decoder(code)), training[:128]),
    (dist.Exponential(1 / decoder(code)), training[:128].abs().square()),
):
    score = likelihood.log_prob(observed).mean()
    scores.append(float(score.detach()))
    gradients.append(
        torch.cat(
            [
                g.flatten()
                for g in torch.autograd.grad(score, list(decoder.parameters()))
            ]
        )
    )
constant = scores[0] - scores[1]
difference = float((gradients[0] - gradients[1]).norm() / gradients[0].norm())
print(
    f"complex normal minus exponential: {constant:.4f}; -log(pi) = {-math.log(math.pi):.4f}"
)
print(f"relative difference of the gradients: {difference:.1e}")
assert abs(constant + math.log(math.pi)) < 1e-3
assert difference < 1e-5

# %%
# The bound
# ---------
#
# Frames are independent, so one is enough to look at, and its index :math:`n` is dropped. Training should make the
# observed speech probable, that is, raise :math:`\log p(s) = \log \int p(s \mid z)\, p(z)\, dz`. The integral has 32
# dimensions and a network inside. So a second network, the *encoder*, guesses from :math:`|s|^2` which codes matter:
# :math:`q(z \mid s) = N(\mu(s), \mathrm{diag}\,\varsigma^2(s))`. The logarithm is concave, so the logarithm of a mean
# is at least the mean of the logarithm (Jensen's inequality):
#
# .. math::
#
#    \begin{aligned}
#    \log p(s) & = \log \mathbb{E}_{q}\left[\frac{p(s \mid z)\, p(z)}{q(z \mid s)}\right] \\
#    & \ge \mathbb{E}_{q}\left[\log p(s \mid z)\right] - \mathrm{KL}\left(q(z \mid s) \,\|\, p(z)\right).
#    \end{aligned}
#
# The right side is the *evidence lower bound*, ELBO, equation :eq:`vae-bound`. What Jensen gives away is, since
# :math:`p(s \mid z)\, p(z) = p(z \mid s)\, p(s)`, exactly :math:`\mathrm{KL}(q(z \mid s) \,\|\, p(z \mid s))`: raising
# the bound over the encoder makes :math:`q` a better posterior, raising it over the decoder makes speech more probable.
# In Pyro :math:`q` is called the guide, and it samples the same site ``z``. A draw :math:`z = \mu + \varsigma
# \varepsilon`, :math:`\varepsilon \sim N(0, I)`, lets gradients pass through.

encoder = SpectrumEncoder(
    latent_dim=L
)  # log-power -> 128 tanh units -> mean and standard deviation of z


def posterior(frames: int, spectrum: Tensor) -> None:
    """The guide: which codes explain these frames."""
    pyro.module("encoder", encoder)
    with pyro.plate("frames", frames):
        mean, scale = encoder(spectrum.abs().square())
        pyro.sample("z", dist.Normal(mean, scale).to_event(1))


# %%
# Training
# --------
#
# The starting point is a decoder that says the same whatever the code: the long-term spectrum, the mean power of every
# frequency. (Of all constant variances it is the most probable: :math:`-\log v - y / v`, averaged over frames, is
# largest where :math:`v` is the mean of :math:`y`.) What the code is worth is then seen from where the bound goes.
# ``TraceMeanField_ELBO`` takes the KL divergence in closed form; lesson 4 measures what that saves.

with torch.no_grad():
    decoder.log_variance.weight.zero_()
    decoder.log_variance.bias.copy_(training.abs().square().mean(0).log())

climb = SVI(
    story,
    posterior,
    ClippedAdam({"lr": 2e-3, "clip_norm": 1000.0}),
    TraceMeanField_ELBO(),
)
bound: list[float] = []
for epoch in range(20):
    total = sum(
        climb.step(128, training[rows])
        for rows in torch.randperm(len(training)).split(128)[:-1]
    )
    bound.append(-total / (len(training) // 128 * 128))
    if epoch % 5 == 4:
        print(f"epoch {epoch + 1:2}: ELBO {bound[-1]:7.1f} nats a frame")

# %%
# What was learnt
# ---------------
#
# Decoder and encoder fit into the classes of the package as they are, so the prior can be compared with the shipped
# A-VAE, which was trained on real speech and has never heard this talker, nor any synthetic one. A *nat* is a unit of
# log-probability: one nat more means that a frame is :math:`e` times as probable under the prior.

guide = AudioGuide(NoisyAudioEncoder(encoder))
shipped = load_checkpoint("a-vae-s1")


def nats_per_frame(model: AudioVAE, q: AudioGuide, spectrum: Tensor) -> float:
    """ELBO of clean speech, per frame."""
    utterances = Utterances.from_spectrum(spectrum)
    with torch.no_grad(), local_parameters(model, q):
        return -float(
            AnalyticTraceEnum_ELBO(max_plate_nesting=2).loss(model, q, utterances)
        ) / len(spectrum)


stranger = frames_of_speech(range(2000, 2010), talker=7)
average = ComplexNormal(training.abs().square().mean(0))
table: dict[str, dict[str, float]] = {}
for name, spectrum in (("the same talker", held_out), ("another talker", stranger)):
    table[name] = {
        "long-term spectrum": float(average.log_prob(spectrum).sum(1).mean()),
        "trained here": nats_per_frame(prior, guide, spectrum),
        "shipped A-VAE": nats_per_frame(shipped.prior, shipped.guide, spectrum),
    }
    print(
        f"{name:15}: "
        + ", ".join(f"{model} {value:.0f}" for model, value in table[name].items())
    )
same, other = table["the same talker"], table["another talker"]
assert same["trained here"] > same["shipped A-VAE"] > same["long-term spectrum"] + 1000
assert other["shipped A-VAE"] > other["trained here"] > other["long-term spectrum"]

# %%
# The code is worth thousands of nats a frame. The prior that was trained on this one talker is the better one for this
# talker and the worse one for somebody else: a prior knows what it has heard. That is why the shipped one was trained
# on many voices.
#
# How far below :math:`\log p(s)` does the bound lie? Averaging the weights inside of the logarithm over :math:`K`
# draws, :math:`\log \frac{1}{K} \sum_k p(s, z_k) / q(z_k \mid s)`, is a tighter bound, which tends to :math:`\log p(s)`
# as :math:`K` grows (Burda, Grosse & Salakhutdinov, arXiv 1509.00519).

some = held_out[::10]
with torch.no_grad():
    mean, scale = encoder(some.abs().square())
    q_z = dist.Normal(mean, scale).to_event(1)
    draws = q_z.sample((200,))
    p_z = dist.Normal(torch.zeros(L), 1.0).to_event(1)
    log_weight = (
        ComplexNormal(decoder(draws)).log_prob(some).sum(-1)
        + p_z.log_prob(draws)
        - q_z.log_prob(draws)
    )
tighter = {
    k: float((log_weight[:k].logsumexp(0) - math.log(k)).mean()) for k in (1, 10, 200)
}
print(
    "bound by draws averaged: "
    + ", ".join(f"{k}: {value:.1f}" for k, value in tighter.items())
)
assert tighter[1] < tighter[10] < tighter[200]

# %%
# Speech from nothing
# -------------------
#
# A Pyro program that is run without an observation draws one. The law of large numbers makes all frames of noise with a
# given spectrum equally loud; speech has loud and soft frames, and so do draws from the prior, since the code decides.


def levels(spectrum: Tensor) -> Tensor:
    """Level of each frame in decibels."""
    return 10 * spectrum.abs().square().mean(1).log10()


with torch.no_grad():
    drawn = story(1000)
    spread = {
        "held-out speech": float(levels(held_out).std()),
        "draws from the prior": float(levels(drawn).std()),
        "noise with the long-term spectrum": float(
            levels(average.expand(drawn.shape).sample()).std()
        ),
    }
for name, decibels in spread.items():
    print(f"level of a frame, standard deviation: {decibels:4.1f} dB in {name}")
assert spread["draws from the prior"] > 5 * spread["noise with the long-term spectrum"]

# %%
# Speech itself spreads further still: its pauses, softer than nearly any draw, are common. The codes of real frames do
# not fill :math:`N(0, I)` evenly. (MIN-VAE, lesson 2, learns the means and variances of its prior.)
#
# The figure shows two seconds of held-out speech, the variance that the prior gives it (the decoder at the mean of the
# encoder: the resonances stay, the random part of each coefficient goes), and as many draws of :math:`\sigma^2(z)` with
# :math:`z \sim N(0, I)`. The draws are frames of speech but no speech: nothing in the story says which frame follows
# which. (That is what the deep Kalman filters of the package add.)

with torch.no_grad():
    panels = {
        "held-out speech, $|s|^2$": held_out[5:65].abs().square(),
        r"the same, $\sigma^2(z)$ at the encoder's mean": decoder(
            encoder(held_out[5:65].abs().square())[0]
        ),
        r"$\sigma^2(z)$ with $z$ drawn from $N(0, I)$, frames in no order": decoder(
            torch.randn(60, L)
        ),
    }
figure = Figure(figsize=(7.5, 8.5), layout="constrained")
rows = figure.subplots(4, 1, height_ratios=[1, 1, 1, 1.2])
for axes, (name, power) in zip(rows, panels.items(), strict=False):
    picture = axes.imshow(
        10 * power.log10().T.numpy(), origin="lower", aspect="auto", cmap="magma", vmin=-40, vmax=40,
        extent=(0, 60 * stft.hop / stft.sample_rate, 0, stft.sample_rate / 2000),
    )  # fmt: skip
    axes.set(title=name, ylabel="frequency (kHz)")
rows[2].set_xlabel("time (s)")
figure.colorbar(picture, ax=rows[:3], label="power (dB)")
rows[3].plot(
    range(1, len(bound) + 1),
    bound,
    color=BLUE,
    marker="o",
    label="trained here, in training",
)
looks = ((GREY, "--"), (BLUE, ":"), (VERMILLION, "-."))
for (model, value), (colour, dash) in zip(same.items(), looks, strict=True):
    rows[3].axhline(value, color=colour, linestyle=dash, label=f"{model}, held out")
rows[3].set(
    xlabel="epoch",
    ylabel="ELBO (nats per frame)",
    ylim=(-3700, 200),
    title="What the code is worth",
)
rows[3].xaxis.set_major_locator(MaxNLocator(integer=True))
rows[3].legend(loc=(0.58, 0.22), fontsize="small")
show(figure, "01_a_speech_prior")

# %%
# And this, in a notebook, is what the prior has learnt from: a voice that says nothing, heard for the first time.

play({"held-out speech": speak(4.0, 1000)})

# %%
# Exercises
# ---------
#
# Each changes one thing. Say first what will come of it, then look at the solution, which checks it.
#
# **1. Twice as far from the microphone.** All speech is multiplied by 1/2, and so is the standard deviation of every
# coefficient under the long-term spectrum. By how much does the log-density of a frame change?

# Solution 1
# a density of F complex numbers, each half as wide in both directions: F log 4 nats
quieter = (
    ComplexNormal(training.abs().square().mean(0) / 4).log_prob(held_out / 2).sum(1)
)
change = float((quieter - average.log_prob(held_out).sum(1)).mean())
print(
    f"solution 1: {change:+.2f} nats a frame; F log 4 = {stft.frequencies * math.log(4):.2f}"
)
assert math.isclose(change, stft.frequencies * math.log(4), rel_tol=1e-3)

# %%
# **2. Other phases.** Every coefficient is turned by a random phase, which makes the sound unintelligible. What does
# the prior say of it?

# Solution 2
# the density knows the power alone
phase = torch.rand(held_out.shape) * 2 * math.pi
turned = average.log_prob(torch.polar(held_out.abs(), phase))
print(
    f"solution 2: largest change {float((turned - average.log_prob(held_out)).abs().max()):.1e} nats"
)
assert torch.allclose(turned, average.log_prob(held_out), rtol=1e-3, atol=1e-2)

# %%
# **3. Another order.** The frames of a sentence are shuffled. What happens to its log-density?

# Solution 3
# frames are independent: a sum in another order
order = torch.randperm(len(some))
with torch.no_grad():
    shuffled = ComplexNormal(decoder(draws[:10, order])).log_prob(some[order]).sum(-1)
    in_order = ComplexNormal(decoder(draws[:10])).log_prob(some).sum(-1)
print(
    f"solution 3: {float(in_order.sum(1).mean()):.1f} in order, {float(shuffled.sum(1).mean()):.1f} shuffled, nats"
)
assert torch.allclose(in_order.sum(1), shuffled.sum(1), rtol=1e-4)

# %%
# **4. The bound without its divergence.** What is left is the mean log-density of the speech given the code. By how
# much does it lie above the bound, and what is that number?

# Solution 4
# by the divergence, the price of the code in nats; without paying it the encoder would name a point
with torch.no_grad():
    likelihood = float(ComplexNormal(decoder(draws)).log_prob(some).sum(-1).mean())
    price = float(torch.distributions.kl_divergence(q_z, p_z).mean())
print(
    f"solution 4: {likelihood - float(log_weight.mean()):.1f} nats a frame above, the code costs {price:.1f}"
)
assert math.isclose(likelihood - float(log_weight.mean()), price, rel_tol=0.05)

# %%
# **5. A code that is mirrored.** The first weights of the decoder change their sign. Does it still describe the same
# speech, and can training tell which of both it has found?

# Solution 5
# N(0, I) is symmetric, so both decoders are the same prior of speech: codes have no meaning of their own
mirrored = copy.deepcopy(decoder)
with torch.no_grad():
    mirrored.hidden.weight.neg_()
    here, there = decoder(draws[0]), mirrored(-draws[0])
print(f"solution 5: largest ratio of the variances {float((there / here).max()):.6f}")
assert torch.allclose(there, here, rtol=1e-4)
