r"""
Lesson 8: swap anything, and write your own
===========================================

Enhancement has four parts: a prior of speech, a model of the noise, a guide that holds the posterior, and an engine
that fits it. None knows of what class the others are. This lesson exchanges them one at a time on one recording, then
writes a prior that nobody has thought of, in a class of two methods, and runs it under every engine as it is.
"""

from typing import Any

import pyro
import pyro.distributions as dist
import torch
from matplotlib.figure import Figure
from pyro import poutine
from torch import Tensor
from torch.nn.functional import pad

from minvae_pyro.checkpoints.checkpoint import load_checkpoint
from minvae_pyro.guides import MeanFieldGuide, PointGuide, SmoothedGuide, UtteranceGuide
from minvae_pyro.inference import (
    FastVariational,
    InferenceEngine,
    LangevinEM,
    MetropolisHastingsEM,
    PointEM,
    StochasticVariational,
    VariationalEM,
    infer,
)
from minvae_pyro.lessons import play, show
from minvae_pyro.lessons.talker import record
from minvae_pyro.models import (
    BayesianNMFNoise,
    NMFNoise,
    NoiseModel,
    NoisyMixture,
    SpeechPrior,
    StationaryNoise,
)
from minvae_pyro.models.speech_prior import Latent
from minvae_pyro.plots.style import BLACK, BLUE, GREEN, ORANGE, PURPLE, VERMILLION
from minvae_pyro.utterances import Plates, Utterances

# %%
# Four parts, one function
# ------------------------
#
# A talker beside a siren. The noise model is started with the level of the recording, the mixture of prior and noise
# is the model of what is heard, the guide starts where an encoder says, the engine fits guide and mixture in place,
# and the posterior mean of the Wiener gain is applied to what is heard. That is all there is to enhancement; ``infer``
# does the same for a checkpoint, ``minvae enhance`` for a file, with ``--noise``, ``--guide`` and ``--engine`` for the
# parts.

recording = record([3], "siren")
utterances = recording.utterances.without_mouth()
a_vae = load_checkpoint("a-vae-s1")
mean, scale = (part.detach() for part in a_vae.guide.encode_audio(utterances))
before = float(recording.before)
print(f"what is heard: SI-SDR {before:.2f} dB")


def enhanced(
    prior: SpeechPrior = a_vae.prior,
    noise: NoiseModel | None = None,
    guide: UtteranceGuide | None = None,
    engine: InferenceEngine | None = None,
) -> float:
    """SI-SDR (dB) that four parts reach."""
    torch.manual_seed(0)
    noise, guide, engine = (
        noise or NMFNoise(rank=4),
        guide or MeanFieldGuide(),
        engine or FastVariational(),
    )
    mixture = NoisyMixture(prior, noise.start(utterances), torch.ones(1, 1, 1))
    new = (
        prior.latent_dim - mean.shape[-1]
    )  # coordinates that the encoder knows nothing of start at the standard normal
    fitted = engine.posterior(
        guide.start(
            prior, utterances, (pad(mean, (0, new)), pad(scale, (0, new), value=1.0))
        )
    )
    engine(mixture, fitted, utterances)
    return float(recording.quality(engine.gain(mixture, fitted, utterances, samples=8)))


table: dict[str, dict[str, float]] = {}


def report(what: str, results: dict[str, float]) -> None:
    """Print results and keep them for the figure."""
    table[what] = results
    for name, value in results.items():
        print(f"{what:6} {name:28}: SI-SDR {value:6.2f} dB")


# %%
# Swap the noise
# --------------
#
# A stationary noise has one spectrum, :math:`b_{nf} = w_f`; low-rank noise has :math:`K` of them that come and go,
# :math:`b = W H`; the Bayesian one has Gamma priors under which parts that are not needed vanish. A siren sweeps: its
# spectrum is a different one at every moment, so one spectrum cannot say it.

noises: dict[str, NoiseModel] = {
    "StationaryNoise": StationaryNoise(),
    "NMFNoise, rank 2": NMFNoise(rank=2),
    "NMFNoise, rank 4": NMFNoise(rank=4),
    "NMFNoise, rank 16": NMFNoise(rank=16),
    "BayesianNMFNoise, rank 16": BayesianNMFNoise(rank=16),
}
report("noise", {name: enhanced(noise=noise) for name, noise in noises.items()})
assert table["noise"]["StationaryNoise"] < max(table["noise"].values()) - 2

# %%
# Swap the guide
# --------------
#
# A normal for each frame, a point, or a Gauss-Markov process whose neighbouring frames are correlated. ``fast`` knows
# the first by heart and hands what it does not know over to ``svi``, so that a guide of your own needs no engine of
# its own.

guides: dict[str, UtteranceGuide] = {
    "MeanFieldGuide": MeanFieldGuide(),
    "PointGuide": PointGuide(),
    "SmoothedGuide": SmoothedGuide(),
}
report("guide", {name: enhanced(guide=guide) for name, guide in guides.items()})

# %%
# Swap the prior
# --------------
#
# Checkpoints carry a prior, the encoders that were trained with it, and settings. None of these has met this talker,
# and here they only hear: of a MIN-VAE that leaves the audio component, of SwVAE and VAE-MM the audio branch; the deep
# Kalman filter adds that each code follows from the one before. Without eyes the shipped MIN-VAE *is* the A-VAE,
# decoder and all.

names = ("a-vae-s1", "min-vae-s1", "sw-vae", "vae-mm", "a-dkf")
settings: dict[str, Any] = {
    "engine": "fast",
    "noise": NMFNoise(rank=4),
    "guide": "MeanFieldGuide",
    "start": "audio",
}
results = {name: infer(load_checkpoint(name), utterances, **settings) for name in names}
report(
    "prior",
    {name: float(recording.quality(result.gain)) for name, result in results.items()},
)
assert abs(table["prior"]["min-vae-s1"] - table["prior"]["a-vae-s1"]) < 0.1

# %%
# Write your own
# --------------
#
# Speech is louder in one frame than in the next, and the code has to spend its coordinates on that. Suppose we would
# rather say it directly: any prior, and a level per frame that is log-normal,
#
# .. math::
#
#    z_n & \sim N(0, I_{L + 1}), \\
#    s_n \mid z_n & \sim N_c\left(0, e^{\rho z_{n, L+1}}\, \mathrm{diag}\, \sigma^2(z_{n, 1 \ldots L})\right) .
#
# A prior has to say two things: how its latent variables come about, and what variance follows from them. Here they
# are:


class LevelledPrior(SpeechPrior):
    """Any prior, and a level per frame.

    Args:
        prior: gives the spectrum.
        spread: natural logarithm of one standard deviation of level.
    """

    def __init__(self, prior: SpeechPrior, spread: float = 0.5) -> None:
        super().__init__()
        self.prior = prior
        self.spread = spread
        self.latent_dim = prior.latent_dim + 1

    def latent(self, utterances: Utterances, plates: Plates) -> Latent:
        """Sample z, (B, N, L + 1); its last coordinate is the level."""
        standard = dist.Normal(
            utterances.noisy_power.new_zeros(self.latent_dim), 1.0
        ).to_event(1)
        with plates.every_frame():
            return Latent(pyro.sample("z", standard))

    def speech_variance(self, latent: Latent, utterances: Utterances) -> Tensor:
        """Variance of speech, (..., B, N, F)."""
        level = (self.spread * latent.z[..., -1:]).exp()
        return level * self.prior.speech_variance(
            Latent(latent.z[..., :-1]), utterances
        )


# %%
# It is a Pyro model from the start; that clean speech is observed is inherited. Run it with the code known, look at
# its sites, and score it by hand: the log-density is the same.

own = LevelledPrior(a_vae.prior)
z = pad(mean, (0, 1))
with torch.no_grad():
    trace = poutine.trace(poutine.condition(own, data={"z": z})).get_trace(utterances)
    by_pyro = float(trace.log_prob_sum())
    variance = (0.5 * z[..., -1:]).exp() * a_vae.prior.speech_variance(
        Latent(z[..., :-1]), utterances
    )
    likelihood = -(torch.pi * variance).log() - utterances.power / variance
    by_hand = float(dist.Normal(0.0, 1.0).log_prob(z).sum() + likelihood.sum())
print(trace.format_shapes())
print(f"log p(s, z): by Pyro {by_pyro:.1f}, by hand {by_hand:.1f}")
assert abs(by_pyro - by_hand) < 1e-5 * abs(by_hand)

# %%
# Pyro finds by itself what depends on what, and over what it is repeated. ``graph.render("own")`` makes a picture of it
# where the program Graphviz is installed; without it, this is the graph.

graph = pyro.render_model(own, (utterances,), render_distributions=True)
print(graph.source)

# %%
# Every engine takes it, each with its own way to move z: by the enumerated bound, by the same bound without tracing,
# by the closed forms of variational EM, to a point, by Metropolis-Hastings, by Langevin steps. None of them was told
# anything. (Thirty iterations each: lesson 10 gives them their time.)

engines: dict[str, InferenceEngine] = {
    "svi": StochasticVariational(iterations=30),
    "fast": FastVariational(iterations=30),
    "vem": VariationalEM(iterations=30),
    "map": PointEM(iterations=30),
    "mcem": MetropolisHastingsEM(iterations=30),
    "langevin": LangevinEM(iterations=30),
}
report(
    "own",
    {
        f"LevelledPrior, {name}": enhanced(own, engine=engine)
        for name, engine in engines.items()
    },
)
report(
    "plain",
    {f"AudioVAE, {name}": enhanced(engine=engine) for name, engine in engines.items()},
)
assert min(table["own"].values()) > before + 1

# %%
# Whether a level per frame is a good idea is another question, and the two last groups answer it for this recording.
# To train it, name it: ``minvae train --config a-vae --prior my_priors.LevelledPrior``; docs/add-your-own-prior.md
# goes on from here.

better = sum(
    table["own"][f"LevelledPrior, {name}"] > table["plain"][f"AudioVAE, {name}"]
    for name in engines
)
print(f"the level helps under {better} of {len(engines)} engines")

groups = ("noise", "guide", "prior", "own prior, engine", "A-VAE, engine")
figure = Figure(figsize=(8, 8), layout="constrained")
axes = figure.add_subplot()
labels: list[str] = []
colours = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE)
for group, name, colour in zip(table.values(), groups, colours, strict=True):
    rows = range(len(labels), len(labels) + len(group))
    axes.barh(
        rows,
        [value - before for value in group.values()],
        left=before,
        color=colour,
        height=0.7,
        label=name,
    )
    for row, value in zip(rows, group.values(), strict=True):
        axes.text(
            max(value, before) + 0.1, row, f"{value:.1f}", va="center", fontsize="small"
        )
    labels += list(group)
axes.set_yticks(range(len(labels)), labels)
axes.invert_yaxis()
axes.axvline(before, color=BLACK, linewidth=0.8)
axes.set(
    xlabel="SI-SDR (dB); bars begin at what is heard",
    title="One recording, one part exchanged at a time",
)
figure.legend(loc="outside lower center", ncols=5, frameon=False)
axes.grid(axis="x", alpha=0.3)
axes.margins(x=0.1)
show(figure, "08_swap_anything")

# %%
# In a notebook: the recording, what the A-VAE makes of it under ``fast``, and what was said.

play(
    {
        "noisy": recording.noisy[0],
        "enhanced": recording.estimate(results["a-vae-s1"].gain)[0],
    }
)
play({"clean": recording.clean[0]})

# %%
# Exercises
# ---------
#
# Each changes one thing. Say first what will come of it, then look at the solution, which checks it.
#
# **1. Once more.** The same four parts run again. Is the number the same?

# Solution 1
# to the bit: enhanced() seeds every draw
first, second = enhanced(), enhanced()
print(f"solution 1: first {first:.6f}, then {second:.6f} dB")
assert first == second

# %%
# **2. A level of zero.** The new coordinate of ``LevelledPrior`` is zero in all frames. What is left?

# Solution 2
# the A-VAE: exp(0) = 1
with torch.no_grad():
    flat = own.speech_variance(Latent(pad(mean, (0, 1))), utterances)
    plain = a_vae.prior.speech_variance(Latent(mean), utterances)
print(f"solution 2: largest ratio of the variances {float((flat / plain).max()):.6f}")
assert torch.allclose(flat, plain)

# %%
# **3. One step louder.** It is one in all frames. How many decibels is that, with :math:`\rho = \frac{1}{2}`?

# Solution 3
# the variance is e^(1/2) times as large: 10 / 2 log10(e) = 2.2 dB
with torch.no_grad():
    raised = own.speech_variance(Latent(pad(mean, (0, 1), value=1.0)), utterances)
decibels = float((10 * (raised / plain).log10()).mean())
print(f"solution 3: {decibels:.2f} dB louder")
assert abs(decibels - 5 / torch.log(torch.tensor(10.0))) < 1e-2

# %%
# **4. What a level costs.** How much less probable is a frame's code with a level of one than with a level of zero?


# Solution 4
# the density of N(0, 1) at 1 over that at 0: half a nat
def log_prior(level: float) -> float:
    """Log-density of the codes, nats."""
    known = poutine.condition(own, data={"z": pad(mean, (0, 1), value=level)})
    with torch.no_grad():
        traced = poutine.trace(known).get_trace(utterances)
    traced.compute_log_prob(lambda name, site: name == "z")
    return float(traced.nodes["z"]["log_prob_sum"])


price = (log_prior(0.0) - log_prior(1.0)) / utterances.frames
print(f"solution 4: {price:.3f} nats a frame")
assert abs(price - 0.5) < 1e-2

# %%
# **5. In a hurry.** The engine gets one iteration. What does it reach?

# Solution 5
# hardly more than what is heard: the noise has not been learnt yet
hurried = enhanced(engine=FastVariational(iterations=1))
print(f"solution 5: after one iteration {hurried:.2f} dB, after thirty {first:.2f} dB")
assert hurried < first
