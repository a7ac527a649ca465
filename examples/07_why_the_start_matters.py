r"""
Lesson 7: why the start matters
===============================

Every engine climbs, and a climber ends on the hill that it starts on. This lesson shows why enhancement has many
hills, with the simplest model that has them, then walks over the landscape of a real model: a MIN-VAE, whose code can
be started by the mouth, by the noisy sound, or anywhere. The start by the mouth wins, which is a claim of the paper
(arXiv 1912.10647). And it wins on a hill that is not the highest, which is why no engine can mend a bad start.
"""

import numpy as np
import pyro
import torch
from matplotlib.figure import Figure
from torch import Tensor

from minvae_pyro.evaluation.scores import si_sdr
from minvae_pyro.guides import MeanFieldGuide
from minvae_pyro.guides.test_time.log_joint import log_joint
from minvae_pyro.guides.test_time.starts import STARTS
from minvae_pyro.inference import PointEM, infer
from minvae_pyro.lessons import play, show
from minvae_pyro.lessons.talker import record, train_on_talker
from minvae_pyro.models import NMFNoise, NoisyMixture
from minvae_pyro.models.speech_prior import Latent
from minvae_pyro.plots.style import BLACK, BLUE, GREEN, GREY, PURPLE, VERMILLION
from minvae_pyro.utterances import concatenate

LOOK = {
    "visual": {"color": BLUE, "marker": "o", "linestyle": "-"},
    "audio": {"color": VERMILLION, "marker": "s", "linestyle": "--"},
    "random": {"color": GREEN, "marker": "^", "linestyle": "-."},
    "both": {"color": PURPLE, "marker": "D", "linestyle": ":"},
    "prior": {"color": BLACK, "marker": "v", "linestyle": ":"},
}

# %%
# One coefficient
# ---------------
#
# Take a single time and frequency with observed power :math:`y = |x|^2`, and call :math:`a` the variance of speech and
# :math:`b` that of noise. The likelihood knows only their sum,
#
# .. math:: \log p(x \mid a, b) = -\log \pi (a + b) - \frac{y}{a + b},
#
# and is largest wherever :math:`a + b = y`: on a ridge, along which speech is all, half or nothing of what is heard.
# Follow the multiplicative update of lesson 6,
#
# .. math::
#
#    a \leftarrow a \sqrt{\frac{y / (a + b)^2}{1 / (a + b)}} = a \sqrt{\frac{y}{a + b}}, \qquad
#    b \leftarrow b \sqrt{\frac{y}{a + b}} .
#
# Both are multiplied by the same number. So :math:`a / (a + b)` never changes, and that is the Wiener gain: what was
# taken for speech before the first step is taken for speech after the last one.

y = 4.0
begin = torch.tensor(
    [[3.2, 0.5], [1.5, 1.0], [0.4, 1.9]], dtype=torch.float64
)  # three starts (a, b)
toy = [begin]
for _ in range(30):
    toy.append(toy[-1] * (y / toy[-1].sum(1, keepdim=True)).sqrt())
gains = [(pair[:, 0] / pair.sum(1)).tolist() for pair in (toy[0], toy[-1])]
print("Wiener gain at three starts: " + ", ".join(f"{gain:.3f}" for gain in gains[0]))
print("Wiener gain where they end:  " + ", ".join(f"{gain:.3f}" for gain in gains[1]))
assert np.allclose(gains[0], gains[1])
assert torch.allclose(toy[-1].sum(1), torch.tensor(y, dtype=torch.float64))

# %%
# Gradient ascent does the like: both derivatives are equal, so that :math:`a - b` never changes. The ridge becomes a
# chain of hills only where coefficients have to share their explanation: a spectrum of the noise is the same in all
# frames, and the decoder cannot give every pattern. It is these ties that inference works with, and they bind only so
# much.
#
# A model with two starts
# -----------------------
#
# The talker is a drawing with a synthetic voice, which the shipped MIN-VAE has never met, so a small one is trained
# here, in ten seconds. Its prior is the mixture (equation :eq:`conditional-component`)
#
# .. math::
#
#    \alpha_n & \sim \mathrm{Bernoulli}(\tfrac{1}{2}), \\
#    z_n \mid \alpha_n = 1 & \sim N(0, I), \\
#    z_n \mid \alpha_n = 0 & \sim N\left(\mu(v), \mathrm{diag}\, \varsigma^2(v)\right)_n,
#
# :math:`v` the video. The second line of the prior is also a place to start: no noise can reach the mouth. The other
# one is the audio encoder, which hears the noise along with the speech. Here the noise is the babble of six talkers,
# as loud as ours: the worst case, for it is made of speech.

checkpoint = train_on_talker()
recording = record([9003], "babble")
utterances = recording.utterances
prior = checkpoint.prior.condition_on(utterances)
audio_start, visual_start = (
    encoder(utterances)[0].detach()
    for encoder in (checkpoint.guide.encode_audio, checkpoint.guide.encode_visual)
)
torch.manual_seed(0)
starts = {
    "visual": visual_start,
    "audio": audio_start,
    "random": torch.randn_like(audio_start),
}  # (1, N, L) each


def fresh_noise() -> NMFNoise:
    """Noise before the first update, the same for all."""
    return NMFNoise(rank=4).start(utterances, torch.Generator().manual_seed(0))


# %%
# Three climbs
# ------------
#
# The simplest engine, ``map``, climbs in :math:`z` itself, with :math:`\alpha` summed out (equation :eq:`log-joint`),
#
# .. math:: \log p(x, z) = \sum_n \log \sum_{m} p(\alpha_n = m)\, p(z_n \mid \alpha_n = m) + \log p(x_n \mid z_n) ,
#
# and moves the noise in between. A hundred iterations from each start:


def climb(start: Tensor) -> tuple[Tensor, list[float], float]:
    """Where z was after every iteration, (101, N, L), the objective after each, and the change of SI-SDR in dB."""
    mixture = NoisyMixture(prior, fresh_noise(), torch.ones(1, 1, 1))
    engine = PointEM(iterations=100)
    guide = engine.posterior(
        MeanFieldGuide().start(prior, utterances, (start, torch.ones_like(start)))
    )
    path = [start[0]]
    trace = engine(
        mixture,
        guide,
        utterances,
        callback=lambda *_: path.append(guide.heads[0, 0].clone()),
    )
    quality = (
        recording.quality(engine.gain(mixture, guide, utterances, samples=1))
        - recording.before
    )
    return torch.stack(path), trace, float(quality)


paths: dict[str, Tensor] = {}
reached: dict[str, float] = {}
for name, start in starts.items():
    paths[name], trace, reached[name] = climb(start)
    ascent = f"log p(x, z) {trace[0]:7.1f} -> {trace[-1]:7.1f} nats a frame"
    print(f"{name:6} start: {ascent}, SI-SDR {reached[name]:+.1f} dB")

# %%
# The landscape between them
# --------------------------
#
# Are these three hills, or three places on one? Go from one end to another on a straight line, and at every point let
# the noise and the gain fit as well as they can (thirty updates from the same beginning; the same at the ends). If the
# objective goes down in between, no engine that only climbs can get across.


def landscape(points: Tensor) -> tuple[Tensor, Tensor]:
    """Objective (nats per frame) and gain in SI-SDR (dB) at codes (P, N, L), the noise fitted to each."""
    count = len(points)
    copies = concatenate([utterances] * count)
    one = fresh_noise()
    noise = one.at(
        spectra=one.spectra.expand(count, -1, -1),
        activations=one.activations.expand(count, -1, -1),
    )
    mixture = NoisyMixture(prior, noise, torch.ones(count, 1, 1))
    with torch.no_grad(), pyro.validation_enabled(False):
        for _ in range(30):
            mixture.m_step(Latent(points[None]), copies)
        height = log_joint(mixture, points[None], copies).total()[0] / utterances.frames
        filtered = (
            mixture.wiener_gain(Latent(points[None]), copies)[0] * utterances.spectrum
        )
    estimate = recording.stft.inverse(filtered, recording.noisy.shape[-1])
    return height, si_sdr(recording.clean, estimate) - recording.before


ends = {name: path[-1] for name, path in paths.items()}
way = torch.linspace(0, 1, 13)
lines: dict[str, tuple[Tensor, Tensor]] = {}
for one, other in (("visual", "audio"), ("visual", "random"), ("audio", "random")):
    line = landscape(torch.lerp(ends[one], ends[other], way[:, None, None]))
    lines[f"{one} to {other}"] = line
    depth = float(torch.minimum(line[0][0], line[0][-1]) - line[0].min())
    print(
        f"from {one:6} to {other:6}: the valley lies {depth:.1f} nats a frame below the lower end"
    )
    assert depth > 3

# %%
# They are three hills. A valley of so many nats per frame, times the frames, is no place that noise in the gradients
# would carry one across.
#
# Three points span a plane. On it, the objective and the score:

origin, across = ends["visual"], ends["audio"] - ends["visual"]
first = across / across.norm()
rest = ends["random"] - origin
rest = rest - (rest * first).sum() * first
second = rest / rest.norm()


def on_the_plane(z: Tensor) -> np.ndarray:
    """Coordinates of codes (..., N, L) projected on the plane, (..., 2)."""
    return torch.stack(
        [((z - origin) * axis).sum((-2, -1)) for axis in (first, second)], -1
    ).numpy()


corners = np.stack([on_the_plane(end) for end in ends.values()])
margin = 0.3 * np.ptp(corners, axis=0)
horizontal, vertical = (
    torch.linspace(
        float(corners[:, axis].min() - margin[axis]),
        float(corners[:, axis].max() + margin[axis]),
        10,
    )
    for axis in (0, 1)
)
rows = [
    landscape(origin + horizontal[:, None, None] * first + up * second)
    for up in vertical
]
heights, scores = (torch.stack([row[part] for row in rows]).numpy() for part in (0, 1))

# %%
# What each start reaches
# -----------------------
#
# One recording proves nothing. Six others, with the engine ``fast`` and every start that the package has by name:
# ``both`` is half way between mouth and sound, ``prior`` the mean of :math:`N(0, I)`.

table = record(range(9100, 9106), "babble")
ranking: dict[str, tuple[float, float, float]] = {}
traces, gained, heard = {}, {}, {}
for name in STARTS:
    result = infer(checkpoint, table.utterances, engine="fast", start=name)
    assert result.audio_responsibility is not None
    gained[name] = table.quality(result.gain) - table.before
    traces[name], heard[name] = result.objective, table.estimate(result.gain)[0]
    ranking[name] = (
        result.objective[-1],
        float(gained[name].mean()),
        float(result.audio_responsibility.mean()),
    )
    objective, gain, trust = ranking[name]
    print(
        f"{name:6}: objective {objective:8.1f} nats a frame, SI-SDR {gain:+5.2f} dB, responsibility {trust:.2f}"
    )

# %%
# Three things to take home.
#
# * The start by the mouth gives the best speech, then that by the sound; from codes that know nothing inference makes
#   it worse than no inference.
# * The start by the sound reaches a *higher* objective than that by the mouth. Explaining babble by a code of speech is
#   perfectly probable, since babble is speech. What the objective cannot tell is *whose*. The hill nearest to the mouth
#   is that of the talker whom one sees.
# * The responsibility follows the start: its closed form compares how far :math:`q(z)` lies from either component of
#   the prior, and :math:`q(z)` stays near where it began. It is no witness of its own; the learnt gate of lesson 9 is
#   one.

assert ranking["visual"][1] > ranking["audio"][1] + 0.5 > ranking["random"][1] + 3
assert ranking["audio"][0] > ranking["visual"][0] > ranking["random"][0]
assert ranking["visual"][2] < 0.2 < ranking["audio"][2] < ranking["random"][2]
assert reached["visual"] > reached["audio"] > reached["random"]

figure = Figure(figsize=(9, 11), layout="constrained")
panels = figure.subplots(3, 2)

axes = panels[0, 0]
side = torch.linspace(0.02, 4.2, 200)
total = side[None, :] + side[:, None]
likelihood = -total.log() - y / total
axes.contourf(
    side, side, likelihood.clamp_min(-4).numpy(), levels=20, cmap="Greys_r", alpha=0.8
)
axes.plot([0, y], [y, 0], color=BLACK, linewidth=1, label="$a + b = |x|^2$")
for place, look in enumerate((LOOK["audio"], LOOK["visual"], LOOK["random"])):
    steps = torch.stack(toy)[:, place]
    axes.plot(steps[:, 0], steps[:, 1], markevery=[0], **look)
    axes.plot(*steps[-1], color=look["color"], marker="*", markersize=11)
axes.set(
    xlabel="variance of speech a",
    ylabel="variance of noise b",
    xlim=(0, 4.2),
    ylim=(0, 4.2),
)
axes.set_title("One coefficient: a ridge, and three climbs")
axes.legend(loc="upper right", fontsize="small")

axes = panels[0, 1]
for (name, line), (colour, dash) in zip(
    lines.items(), ((BLUE, "-"), (VERMILLION, "--"), (GREEN, "-.")), strict=True
):
    axes.plot(way, line[0], color=colour, linestyle=dash, label=name)
axes.set(
    xlabel="way from one end to the other",
    ylabel="log p(x, z) (nats per frame)",
    title="Between the ends: valleys",
)
axes.legend(fontsize="small")

for axes, values, title in (
    (panels[1, 0], heights, "log p(x, z) (nats per frame) on the plane"),
    (panels[1, 1], scores, "change of SI-SDR (dB) on the plane"),
):
    picture = axes.contourf(horizontal, vertical, values, levels=16, cmap="cividis")
    figure.colorbar(picture, ax=axes)
    for name, path in paths.items():
        track = on_the_plane(path)
        axes.plot(track[:, 0], track[:, 1], color="#FFFFFF", linewidth=1)
        look = {"color": LOOK[name]["color"], "marker": LOOK[name]["marker"]}
        axes.plot(
            *track[-1],
            markersize=10,
            markeredgecolor="#FFFFFF",
            linestyle="",
            label=f"{name} start",
            **look,
        )
    axes.set(
        xlim=tuple(horizontal[[0, -1]].tolist()),
        ylim=tuple(vertical[[0, -1]].tolist()),
        title=title,
    )
    axes.set(xlabel="visual to audio end", ylabel="towards the random end")
panels[1, 0].legend(fontsize="small", loc="upper left")

axes = panels[2, 0]
for name, trace in traces.items():
    axes.plot(
        range(1, len(trace) + 1),
        trace,
        label=name,
        markevery=4,
        markersize=4,
        **LOOK[name],
    )
top = max(trace[-1] for trace in traces.values())
axes.set(xlabel="iteration", ylabel="ELBO (nats per frame)", ylim=(top - 300, top + 15))
axes.set_title("Six recordings: the climbs")
axes.legend(fontsize="small")

axes = panels[2, 1]
for place, name in enumerate(gained):
    axes.plot(
        [place] * 6,
        gained[name],
        linestyle="",
        marker=LOOK[name]["marker"],
        color=LOOK[name]["color"],
        alpha=0.5,
    )
    axes.plot(
        [place - 0.25, place + 0.25], [ranking[name][1]] * 2, color=LOOK[name]["color"]
    )
axes.axhline(0, color=GREY, linestyle=":")
axes.set_xticks(range(len(gained)), list(gained))
axes.set(
    xlabel="start",
    ylabel="change of SI-SDR (dB)",
    title="What they are worth (bar: mean)",
)
for axes in (panels[0, 1], *panels[2]):
    axes.grid(alpha=0.3)
show(figure, "07_why_the_start_matters")

# %%
# In a notebook: the first of the six recordings, as it was heard, from either start, and as it was said.

play(
    {
        "noisy": table.noisy[0],
        **{f"enhanced from {name}": heard[name] for name in ("visual", "audio")},
    }
)
play({"clean": table.clean[0]})

# %%
# Exercises
# ---------
#
# Each changes one thing. Say first what will come of it, then look at the solution, which checks it.
#
# **1. By gradient.** Climb the ridge of one coefficient by small gradient steps. What stays the same now?

# Solution 1
# both derivatives are equal, so a - b does
pair = begin.clone()
for _ in range(3000):
    total_power = pair.sum(1, keepdim=True)
    pair = pair + 0.05 * (y / total_power.square() - 1 / total_power)
print(
    f"solution 1: a - b before {(begin[:, 0] - begin[:, 1]).tolist()}, a + b after {pair.sum(1).tolist()}"
)
assert torch.allclose(pair[:, 0] - pair[:, 1], begin[:, 0] - begin[:, 1])
assert torch.allclose(pair.sum(1), torch.tensor(y, dtype=torch.float64), atol=1e-2)

# %%
# **2. Four times the power.** After the climb :math:`y` is sixteen in place of four, and the climb goes on. Where to?

# Solution 2
# to a + b = 16 with the same shares
louder = toy[-1]
for _ in range(40):
    louder = louder * (16 / louder.sum(1, keepdim=True)).sqrt()
print(
    f"solution 2: a + b {louder.sum(1).tolist()}, gains {(louder[:, 0] / 16).tolist()}"
)
assert torch.allclose(louder, 4 * toy[-1], rtol=1e-6)

# %%
# **3. Certain from the start.** One of the starts has no noise, :math:`b = 0`. What is its Wiener gain in the end?

# Solution 3
# 1, whatever is heard
sure = torch.tensor([1.0, 0.0], dtype=torch.float64)
for _ in range(30):
    sure = sure * (y / sure.sum()).sqrt()
print(f"solution 3: gain {float(sure[0] / sure.sum()):.0f}")
assert sure[1] == 0

# %%
# **4. Before and after.** Is the start by the mouth, with noise and gain fitted to it, higher or lower than where its
# climb ends?

# Solution 4
# lower: the climb has moved the codes too
start_and_end = landscape(torch.stack([visual_start[0], ends["visual"]]))[0]
print(
    f"solution 4: log p(x, z) {float(start_and_end[0]):.1f} at the start, {float(start_and_end[1]):.1f} at the end"
)
assert start_and_end[0] < start_and_end[1]

# %%
# **5. Somebody else's mouth.** Each sentence starts at the mouth of another one. Which start is the better one, that or
# the sound?

# Solution 5
# the sound: a wrong mouth leads to the hill of a sentence that was not said
others = table.utterances.replace(mouth=table.utterances.mouth.roll(1, 0))
foreign = float(
    (
        table.quality(infer(checkpoint, others, engine="fast", start="visual").gain)
        - table.before
    ).mean()
)
print(
    f"solution 5: by the mouth of others {foreign:+.2f} dB; by the sound {ranking['audio'][1]:+.2f} dB"
)
assert foreign < ranking["audio"][1]
