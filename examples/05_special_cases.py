r"""
Lesson 5: A-VAE and V-VAE are MIN-VAE, conditioned
==================================================

MIN-VAE was compared with an audio-only VAE and with a video-only one. Neither is another model: each is the same
program with the switch held in one position. In a probabilistic program that is one line around the call, an effect
handler, and nothing is written or trained anew. This lesson derives the special cases and shows that the bounds agree
to the last digit, in training and in inference, and what lies between them.
"""

import math
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from matplotlib.figure import Figure
from pyro.nn import PyroModule
from torch import Tensor
from torch.nn.functional import logsigmoid

from minvae_pyro import infer
from minvae_pyro.audio.mixing import mix_at_snr
from minvae_pyro.checkpoints.checkpoint import load_checkpoint
from minvae_pyro.guides import AudioGuide, CollapsedResponsibility, VisualGuide
from minvae_pyro.inference import StochasticVariational
from minvae_pyro.lessons import play, show
from minvae_pyro.lessons.mixture import in_noise, talker_utterances, train_on_talker
from minvae_pyro.models import AudioVAE, SpeechPrior, StandardComponent, VisualVAE
from minvae_pyro.plots.style import BLUE, GREEN, GREY, VERMILLION
from minvae_pyro.probability.elbo import AnalyticTraceEnum_ELBO
from minvae_pyro.probability.handlers import condition_alpha
from minvae_pyro.probability.parameters import local_parameters
from minvae_pyro.synthetic.noise import synthetic_noise
from minvae_pyro.synthetic.talker import speak
from minvae_pyro.utterances import Utterances

pyro.set_rng_seed(0)

# %%
# What conditioning leaves
# ------------------------
#
# The bound of a frame is, equation :eq:`mixture-bound` of the page on the mathematics,
#
# .. math::
#
#    \mathcal{L} = r L^a + (1 - r) L^v - \mathrm{KL}\left(\mathrm{Bernoulli}(r) \,\|\, \mathrm{Bernoulli}(\pi)\right).
#
# To *condition* on :math:`\alpha = 1` means: the model knows it, so :math:`\pi` becomes 1, and a posterior that knows
# it too has :math:`r = 1`. The divergence of two equal distributions is zero, and
#
# .. math:: \mathcal{L} = L^a =
#    \mathbb{E}_{q_a}\left[\log p(s \mid z)\right] - \mathrm{KL}\left(q_a(z) \,\|\, p(z \mid \alpha = 1)\right).
#
# If the audio component of the prior is :math:`N(0, I)`, this is the bound of the A-VAE, lesson 1, with the same
# decoder and the same encoder. In the same way :math:`\alpha = 0` leaves :math:`L^v`, the V-VAE (Sadeghi et al., arXiv
# 1908.02590): a variational autoencoder of sound whose encoder sees only the mouth.
#
# ``condition_alpha`` is a handler, a message that every ``pyro.sample`` inside of its block passes by. At the site
# ``alpha`` it replaces the distribution, in the model and in the guide alike. (``pyro.poutine.condition`` fixes the
# value in the model only; the guide would still enumerate both.) To stay clear of :math:`\log 0` it uses log-odds of
# :math:`\pm 30`, that is :math:`1 - r \approx 10^{-13}`.

prior, guide = train_on_talker(talker_utterances(16, first_seed=1000))
prior.audio_component = prior.visual_component = StandardComponent(prior.latent_dim)
guide.responsibility = CollapsedResponsibility()
prior, guide = prior.double(), guide.double()
sentence = talker_utterances(1, first_seed=5000).to(torch.float64)
sentence = sentence.replace(mouth_seen=torch.ones_like(sentence.mouth_seen))

special: dict[str, tuple[SpeechPrior, PyroModule]] = {
    "A-VAE": (AudioVAE(prior.latent_dim, prior.decoder), AudioGuide(guide.audio)),
    "V-VAE": (VisualVAE(prior.latent_dim, prior.decoder), VisualGuide(guide.visual)),
}

# %%
# Numbers can agree to the last digit only if both programs draw the same code. MIN-VAE draws for both positions of the
# switch, the mouth's first; so the A-VAE on its own has to skip as many random numbers.


def bound_and_gradient(
    prior: SpeechPrior, guide: PyroModule, skip: int = 0
) -> tuple[float, Tensor, Tensor]:
    """ELBO in nats, and its gradients by the weights of the audio and of the visual encoder (zero where unused)."""
    encoders = [
        list(guide_part.parameters()) for guide_part in (audio_encoder, visual_encoder)
    ]
    pyro.set_rng_seed(1)
    torch.randn(skip, dtype=torch.float64)
    with local_parameters(prior, guide):
        bound = -AnalyticTraceEnum_ELBO(max_plate_nesting=2).differentiable_loss(
            prior, guide, sentence
        )
    parts = []
    for weights in encoders:
        found = torch.autograd.grad(
            bound, weights, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        parts.append(torch.cat([gradient.flatten() for gradient in found]))
    return float(bound.detach()), parts[0], parts[1]


audio_encoder, visual_encoder = guide.audio, guide.visual
codes = sentence.frames * prior.latent_dim
print(f"{'':28}{'bound (nats)':>20}{'gradient: audio enc.':>24}{'visual enc.':>16}")
for name, alpha in (("A-VAE", 1), ("V-VAE", 0)):
    alone = bound_and_gradient(*special[name], skip=alpha * codes)
    with condition_alpha(alpha):
        conditioned = bound_and_gradient(prior, guide)
    for label, (bound, audio, visual) in (
        (name, alone),
        (f"MIN-VAE given alpha = {alpha}", conditioned),
    ):
        print(
            f"{label:28}{bound:20.7f}{float(audio.norm()):24.6g}{float(visual.norm()):16.6g}"
        )
    assert abs(alone[0] - conditioned[0]) < 1e-11 * abs(alone[0])
    for own, same in zip(alone[1:], conditioned[1:], strict=True):
        assert float((own - same).norm()) < 1e-9 * max(
            float(alone[1].norm()), float(alone[2].norm())
        )

# %%
# The gradients agree as well: the encoder that the switch leaves out learns nothing.
#
# What lies between
# -----------------
#
# Without the handler each frame has its own best responsibility, and the bound is the log-sum-exp of lesson 3. A sum of
# two positive numbers is no smaller than either of them, so
#
# .. math::
#
#    \mathcal{L} = \log\left(\pi e^{L^a} + (1 - \pi) e^{L^v}\right)
#    \ge \max\left(L^a + \log \pi,\; L^v + \log(1 - \pi)\right).
#
# With :math:`\pi = \frac{1}{2}` the mixture is in *every* frame within :math:`\log 2 = 0.69` nats of the better special
# case, whichever it is there; each special case is worse wherever the other modality would have been better. That is
# what the mixture is for. For :math:`\pi \to 1` and :math:`\pi \to 0` it tends to the special cases.

with torch.no_grad():
    pyro.set_rng_seed(1)
    posterior = dist.Normal(*guide.posteriors(sentence))
    _, audio, visual = (
        value for value in guide.bounds(sentence, posterior, guide.draw(posterior))
    )
audio, visual = audio[0], visual[0]
log_odds = torch.linspace(-3000, 3000, 241, dtype=torch.float64)[:, None]
mixture = torch.logsumexp(
    torch.stack([logsigmoid(log_odds) + audio, logsigmoid(-log_odds) + visual]), 0
)
even = mixture[120]
for name, value in (("A-VAE", audio), ("V-VAE", visual), ("MIN-VAE, pi = 1/2", even)):
    print(f"{name:18}: {float(value.mean()):8.1f} nats a frame")
shortfall = float((torch.maximum(audio, visual) - even).max())
print(
    f"MIN-VAE below the better of the two, worst frame: {shortfall:.3f} nats (log 2 = {math.log(2):.3f})"
)
assert shortfall <= math.log(2) + 1e-9
assert float(even.mean()) > max(float(audio.mean()), float(visual.mean()))

# %%
# The same in inference
# ---------------------
#
# The handler reaches everything that runs inside of it, inference too. The shipped MIN-VAE was built on the shipped
# A-VAE and shares its decoder and audio encoder. Given that the sound is to be trusted it enhances a noisy recording
# exactly as the A-VAE does, although a mouth is there to be seen (a picture of noise, which would do harm). So an
# ablation that compares the two compares the switch, and nothing else.

speech = speak(2.0, seed=3)
mixed, _ = mix_at_snr(speech, synthetic_noise("pink", len(speech), seed=4), 0.0)
gains = {}
for name in ("a-vae-s1", "min-vae-s1"):
    checkpoint = load_checkpoint(name)
    spectrum = checkpoint.stft(mixed / mixed.square().mean().sqrt())
    mouth = torch.rand(
        len(spectrum), 67, 67, generator=torch.Generator().manual_seed(0)
    )
    noisy = Utterances.from_spectrum(spectrum, mouth)
    settings: dict[str, Any] = {
        "engine": StochasticVariational(iterations=20),
        "start": "audio",
        "noise": "NMFNoise",
    }
    with condition_alpha(1):
        gains[name] = infer(checkpoint, noisy, **settings).gain
    if name == "min-vae-s1":
        gains["min-vae-s1, free"] = infer(checkpoint, noisy, **settings).gain
for name in ("min-vae-s1", "min-vae-s1, free"):
    print(
        f"gain of {name} minus that of a-vae-s1: largest {float((gains[name] - gains['a-vae-s1']).abs().max()):.1e}"
    )
assert torch.equal(gains["min-vae-s1"], gains["a-vae-s1"])
assert not torch.allclose(gains["min-vae-s1, free"], gains["a-vae-s1"], atol=1e-2)

# %%
# The figure: the mean bound of a sentence as the prior log-odds of the switch go from "always the mouth" to "always the
# sound", towards the special cases on either side; and the three bounds frame by frame, where the mixture follows
# whichever is higher.

figure = Figure(figsize=(9, 3.9), layout="constrained")
left, right = figure.subplots(1, 2)
left.plot(log_odds[:, 0], mixture.mean(1), color=GREEN, label="MIN-VAE")
left.axhline(
    float(audio.mean()), color=BLUE, linestyle="--", label=r"A-VAE ($\alpha = 1$)"
)
left.axhline(
    float(visual.mean()),
    color=VERMILLION,
    linestyle="-.",
    label=r"V-VAE ($\alpha = 0$)",
)
left.set(
    xlabel=r"log-odds of $\pi$ (nats)",
    ylabel="bound (nats per frame)",
    title="Between the special cases",
)
left.legend(loc=(0.42, 0.14))

times = torch.arange(sentence.frames) * (533 / 16000)
noisy_frames = in_noise(sentence.frames)
right.fill_between(
    times, 0, 1, where=noisy_frames.numpy(), transform=right.get_xaxis_transform(),
    color=GREY, alpha=0.3, linewidth=0, label="noise in the audio encoder",
)  # fmt: skip
right.plot(
    times, even, color=GREEN, linewidth=4, alpha=0.6, label=r"MIN-VAE, $\pi = 1/2$"
)
right.plot(times, audio, "--", color=BLUE, label="A-VAE")
right.plot(times, visual, "-.", color=VERMILLION, label="V-VAE")
right.set(
    xlabel="time (s)", ylabel="bound (nats)", ylim=(-6500, 4000), title="Frame by frame"
)
right.legend(loc="lower right", fontsize="small")
show(figure, "05_special_cases")

# %%
# In a notebook: what was heard, what both models make of it, and what was said.

estimate = checkpoint.stft.inverse(gains["a-vae-s1"][0] * spectrum, len(mixed))
play({"noisy": mixed, "enhanced": estimate, "clean": speech})

# %%
# Exercises
# ---------
#
# Each changes one thing. Say first what will come of it, then look at the solution, which checks it.
#
# **1. A prior with an opinion.** :math:`\pi = 0.9`. How far may the mixture lie below the better special case now?

# Solution 1
# log 10 where the mouth is the better one, log(10 / 9) where the sound is
bold = torch.logaddexp(audio + math.log(0.9), visual + math.log(0.1))
below = torch.maximum(audio, visual) - bold
print(
    f"solution 1: at most {float(below.max()):.3f} nats (log 10 = {math.log(10):.3f})"
)
assert float(below.max()) <= math.log(10) + 1e-9
assert float(below[audio > visual].max()) <= math.log(10 / 9) + 1e-9

# %%
# **2. A hard switch.** In place of the sum take the larger of its two terms. What is lost at most?

# Solution 2
# log 2: a sum of two is at most twice the larger one
hard = torch.maximum(audio, visual) - math.log(2)
print(
    f"solution 2: at most {float((even - hard).max()):.3f} nats of log 2 = {math.log(2):.3f}"
)
assert ((even >= hard) & (even - hard <= math.log(2) + 1e-9)).all()

# %%
# **3. A third component.** Another copy of the sound joins, each of the three at one third. Is the mixture better?

# Solution 3
# no: two of three bring the sound 2/3 of the prior, and the mouth pays for it
three = torch.logsumexp(torch.stack([audio, audio, visual]), 0) - math.log(3)
print(
    f"solution 3: {float((three - even).max()):+.3f} nats at best, {float((three - even).min()):+.3f} at worst"
)
assert float((three - even).max()) <= math.log(4 / 3) + 1e-9
assert float((three - even).min()) >= math.log(2 / 3) - 1e-9

# %%
# **4. Two handlers.** ``condition_alpha(0)`` runs inside of ``condition_alpha(1)``. Which one holds?

# Solution 4
# the innermost, as with every handler of Pyro
with condition_alpha(0):
    inner = bound_and_gradient(prior, guide)[0]
with condition_alpha(1), condition_alpha(0):
    nested = bound_and_gradient(prior, guide)[0]
print(f"solution 4: nested {nested:.4f}, alpha = 0 alone {inner:.4f} nats")
assert nested == inner

# %%
# **5. Another picture.** Under ``condition_alpha(1)`` the picture of noise is exchanged for a black one. What becomes
# of the gain?

# Solution 5
# nothing: the sound is trusted, whatever there is to be seen
black = Utterances.from_spectrum(spectrum, torch.zeros_like(mouth))
with condition_alpha(1):
    again = infer(checkpoint, black, **settings).gain
print(
    f"solution 5: the gain changes by {float((again - gains['min-vae-s1']).abs().max()):.1e}"
)
assert torch.equal(again, gains["min-vae-s1"])
