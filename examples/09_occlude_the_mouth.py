r"""
Lesson 9: occlude the mouth
===========================

A video helps as long as it shows the mouth that speaks. It may be covered, freeze, lag behind, or show somebody else,
and nothing in the file says so. The mixture variable :math:`\alpha_n` is there for that: frame by frame it says
whether the sound explains the code of the speech or the mouth does. This lesson spoils the video in six ways, from
outside of model, guide and engine, and watches the responsibility :math:`r_n = q(\alpha_n = 1)` move; and it measures
what a rule for :math:`r` is worth when the video is wrong.
"""

from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from minvae_pyro.checkpoints.checkpoint import load_checkpoint
from minvae_pyro.inference import infer
from minvae_pyro.lessons import play, show
from minvae_pyro.lessons.talker import record, train_on_talker
from minvae_pyro.models.speech_prior import Latent
from minvae_pyro.plots.responsibilities import draw_responsibility, draw_strip
from minvae_pyro.plots.style import BLACK, BLUE, GREY, SKY, VERMILLION
from minvae_pyro.probability.handlers import condition_alpha
from minvae_pyro.utterances import Utterances
from minvae_pyro.video.occlusion import frozen, late, masked, occlude, shuffled
from minvae_pyro.video.track import MouthTrack

# %%
# Six ways to spoil a video
# -------------------------
#
# Six sentences of a synthetic talker in the babble of others, as loud as the talker. The shipped MIN-VAE has not
# learnt to read the lips of a drawing, so a small one is trained first, as in lesson 7, on clean speech with the right
# video.
#
# An occlusion is a function from utterances to utterances with other mouths. ``occlude`` wraps whatever is called with
# utterances (a guide, a model, all of ``infer``) so that it sees them: an effect handler, of which model and guide
# know nothing. Two of the six begin in the middle. One can be told from the file, since no mouth is found in it; the
# others cannot.

checkpoint = train_on_talker()
recording = record(range(9100, 9106), "babble")
utterances = recording.utterances
frames = utterances.frames
middle = frames // 2


def foreign(batch: Utterances) -> Utterances:
    """Each sentence with the video of another one."""
    return batch.replace(mouth=batch.mouth.roll(1, 0))


occlusions = {
    "right": lambda batch: batch,
    "masked": masked(middle),
    "frozen": frozen(middle),
    "shuffled": shuffled(seed=1),
    "late 100 ms": late(3),
    "late 400 ms": late(12),
    "foreign": foreign,
}

# %%
# What there is to be seen
# ------------------------
#
# Before any rule: is there something in sound and video that tells right from wrong? The mouth suggests a code, the
# decoder gives its spectrum, and the level of that should rise and fall with what is heard, if less so in noise. Their
# correlation over time, the mean over six sentences:


def levels_agree(batch: Utterances) -> float:
    """Correlation over time of the level that the mouth suggests with that of what is heard."""
    with torch.no_grad():
        suggested = checkpoint.prior.speech_variance(
            Latent(checkpoint.guide.encode_visual(batch)[0]), batch
        )
    pair = torch.stack([suggested.mean(-1).log(), batch.noisy_power.mean(-1).log()])
    rows = [
        torch.corrcoef(pair[:, row, batch.mouth_seen[row]])[0, 1]
        for row in range(len(batch))
    ]
    return float(torch.stack(rows).mean())


agreement = {name: levels_agree(how(utterances)) for name, how in occlusions.items()}
for name, value in agreement.items():
    print(f"{name:11}: levels seen and heard correlate by {value:+.2f}")
assert min(agreement["right"], agreement["masked"]) > 0.1 + max(
    agreement[name] for name in ("shuffled", "late 400 ms")
)

# %%
# Two rules
# ---------
#
# *The closed form.* For clean speech the best responsibility compares the bounds of the components (equation
# :eq:`best-responsibility`), :math:`r_n = \mathrm{sigmoid}(\mathrm{logit}\, \pi + L^a_n - L^v_n)`. In noise the bounds
# are not known; what is known is the posterior that is being fitted, and where one :math:`q(z)` serves both components
# the likelihood cancels (equation :eq:`shared-evidence`):
#
# .. math::
#
#    L^a_n - L^v_n = \mathrm{KL}\left(q(z_n) \,\|\, p(z_n \mid \alpha_n = 0, v)\right)
#    - \mathrm{KL}\left(q(z_n) \,\|\, N(0, I)\right) .
#
# This begs the question. Started at the mouth, as is best, :math:`q(z)` *is* what the mouth says, the first divergence
# is zero, and :math:`r` is zero whatever the video shows.
#
# *A learnt gate* asks sound and video instead, before inference begins (equation :eq:`gate-log-odds`):
#
# .. math:: \mathrm{logit}\, r_n = \mathrm{gate}\left(|x|^2, \sigma^2(\mu(v))\right)_n .
#
# It compares, in 32 bands, what is heard with the spectra that the mouth suggests, each standardised over the
# recording. The one that ships with the package was trained on recordings of people (GRID), with videos right,
# foreign, late, frozen and blank. It is put here, as it is, behind eyes that have learnt to read a drawing: synchrony
# is not a matter of whose lips they are.
#
# The gate learnt its log-odds where :math:`\pi = P(\alpha = 1)` was a half. By Bayes' rule the posterior odds are the
# ratio of likelihoods times the prior odds, so that another :math:`\pi'` moves them by a constant,
#
# .. math:: \mathrm{logit}\, r'_n = \mathrm{logit}\, r_n + \mathrm{logit}\, \pi' - \mathrm{logit}\, \pi .
#
# The shipped model has :math:`\pi' = 0.95`: before looking, trust the sound.

closed_form = checkpoint.guide.responsibility
gate = load_checkpoint("min-vae-s1").guide.responsibility
rules: dict[str, tuple[Any, dict[str, Any]]] = {
    "closed form": (closed_form, {"start": "visual"}),
    "gate, pi 1/2": (gate, {"start": "both"}),
    "gate, pi 0.95": (gate, {"start": "both", "mixing_weight": 0.95}),
}

# %%
# What the rules reach
# --------------------
#
# ``condition_alpha(1)`` tells model, guide and engine alike that the sound is to be trusted in all frames: what can be
# had without eyes. The rest is measured against it.

with condition_alpha(1):
    blind = infer(checkpoint, utterances, engine="fast")
floor = float((recording.quality(blind.gain) - recording.before).mean())
print(f"by ear alone: SI-SDR {floor:+.2f} dB")

score: dict[str, dict[str, float]] = {rule: {} for rule in rules}
trust: dict[str, dict[str, Tensor]] = {rule: {} for rule in rules}
heard: dict[str, Tensor] = {}  # the first sentence, by the last rule
for rule, (responsibility, settings) in rules.items():
    checkpoint.guide.responsibility = responsibility
    for name, how in occlusions.items():
        result = occlude(infer, how)(checkpoint, utterances, engine="fast", **settings)
        score[rule][name] = float(
            (recording.quality(result.gain) - recording.before).mean()
        )
        assert result.audio_responsibility is not None
        trust[rule][name] = result.audio_responsibility
        heard[name] = recording.estimate(result.gain)[0]
for name in occlusions:
    cells = (
        f"{rule} {score[rule][name]:+.2f} dB (r {float(trust[rule][name].mean()):.2f})"
        for rule in rules
    )
    print(f"{name:11}: " + ", ".join(cells))

# %%
# With the right video every rule gains over the ear alone. With a wrong one the closed form goes on trusting it and
# makes things worse than they were; the gate notices, and with the odds of the shipped model a wrong video costs half
# a decibel, where the right one brings more than that. It costs a part of what blind trust would bring with the right
# video: that is the price of doubt. A delay of 100 ms is hard to see, for the gate as for the eye.

careful, believed = score["gate, pi 0.95"], score["closed form"]
wrong = [name for name in occlusions if name not in ("right", "masked")]
assert all(values["right"] > floor + 0.4 for values in score.values())
assert all(believed[name] < 0 < careful[name] for name in wrong)
assert min(careful[name] for name in wrong) > floor - 1

# %%
# Where no mouth is seen, :math:`r = 1` by definition, whatever the rule. In a video that freezes the responsibility
# rises where it does, but the frames before are doubted as well: the gate looks at the recording as a whole, too.

after = {
    name: float(trust["gate, pi 0.95"][name][:, middle:].mean()) for name in occlusions
}
before = {
    name: float(trust["gate, pi 0.95"][name][:, :middle].mean()) for name in occlusions
}
print(f"masked: r {before['masked']:.2f} before, {after['masked']:.2f} after; ", end="")
print(f"frozen: r {before['frozen']:.2f} before, {after['frozen']:.2f} after")
assert after["masked"] > 0.999
assert before["masked"] < 0.5
assert after["frozen"] > before["frozen"]
calm = float(trust["gate, pi 0.95"]["right"].mean())
assert all(float(trust["gate, pi 0.95"][name].mean()) > calm + 0.1 for name in wrong)

# %%
# The figure: under the mouths of the first sentence the responsibility by the gate with :math:`\pi' = 0.95`, in this
# sentence and in the mean over six; and what each rule is worth.

times = recording.stft.frame_times(frames)
figure = Figure(figsize=(9, 12), layout="constrained")
shown = ("right", "masked", "frozen", "shuffled", "late 400 ms")
grid = figure.add_gridspec(
    2 * len(shown) + 1, 1, height_ratios=[0.8, 1.1] * len(shown) + [2.6]
)
for place, name in enumerate(shown):
    strip, curve = (figure.add_subplot(grid[2 * place + part]) for part in range(2))
    spoilt = occlusions[name](utterances)
    crops = (255 * spoilt.mouth[0]).to(torch.uint8)
    track = MouthTrack(crops, times, spoilt.mouth_seen[0])
    draw_strip(strip, track, float(times[-1]))
    lines = trust["gate, pi 0.95"][name]
    draw_responsibility(
        curve, {"this sentence": lines[0], "mean of six": lines.mean(0)}, times, track
    )
    strip.set_xlim(0, float(times[-1]))
    strip.set_ylabel(name, fontsize="small")
    strip.tick_params(labelbottom=False)
    curve.set(xlim=(0, float(times[-1])), ylabel="r")
    curve.tick_params(labelbottom=name == shown[-1])
    if name == shown[-1]:
        curve.set_xlabel("time (s)")
        curve.legend(fontsize="small", ncols=2, loc="lower right")
axes = figure.add_subplot(grid[-1])
looks = ((VERMILLION, "//"), (SKY, ""), (BLUE, ".."))
for place, (rule, (colour, hatch)) in enumerate(zip(rules, looks, strict=True)):
    where = [number + 0.27 * (place - 1) for number in range(len(occlusions))]
    axes.bar(
        where,
        list(score[rule].values()),
        0.25,
        color=colour,
        hatch=hatch,
        edgecolor="#FFFFFF",
        label=rule,
    )
axes.axhline(floor, color=BLACK, linestyle=":", label="by ear alone")
axes.axhline(0, color=GREY, linewidth=0.8)
axes.set_xticks(range(len(occlusions)), list(occlusions))
axes.set(ylabel="change of SI-SDR (dB)", ylim=(-4, 3.4))
axes.legend(fontsize="small", ncols=4, loc="upper right")
show(figure, "09_occlude_the_mouth")

# %%
# In a notebook: the first sentence as it was heard, enhanced by ear alone, with the right video and with one that came
# late, each by the gate, and as it was said.

play(
    {
        "noisy": recording.noisy[0],
        "enhanced by ear alone": recording.estimate(blind.gain)[0],
    }
)
play({f"enhanced, video {name}": heard[name] for name in ("right", "late 400 ms")})
play({"clean": recording.clean[0]})

# %%
# Exercises
# ---------
#
# Each changes one thing. Say first what will come of it, then look at the solution, which checks it.
#
# **1. Between the two.** :math:`\pi' = 0.8`. By how much are the gate's log-odds moved, and how many frames change
# sides?

# Solution 1
# by log 4 = 1.39, where 0.95 moves them by log 19 = 2.94: frames can only go over to the sound
checkpoint.guide.responsibility = gate
with torch.no_grad():
    odds = checkpoint.guide.gate_logits(utterances)
assert odds is not None
sides = [
    int((odds + torch.tensor(weight).logit() > 0).sum()) for weight in (0.5, 0.8, 0.95)
]
print(
    f"solution 1: frames left to the sound with pi 0.5, 0.8 and 0.95: {sides} of {odds.numel()}"
)
assert sides[0] <= sides[1] <= sides[2]

# %%
# **2. Louder.** The recording is played twice as loud. What does the gate say?

# Solution 2
# the same: it looks at logarithms, centred over the recording
with torch.no_grad():
    louder = checkpoint.guide.gate_logits(
        utterances.replace(noisy_power=4 * utterances.noisy_power)
    )
assert louder is not None
print(f"solution 2: the log-odds change by {float((louder - odds).abs().max()):.1e}")
assert float((louder - odds).abs().max()) < 0.05

# %%
# **3. No mouth at all.** The video is covered from the first frame to the last. What is left of the mixture?

# Solution 3
# the A-VAE: r = 1 in all frames, and the score is that of the ear alone
covered = occlude(infer, masked())(checkpoint, utterances, engine="fast", start="both")
alone = float((recording.quality(covered.gain) - recording.before).mean())
print(f"solution 3: {alone:+.2f} dB; the ear {floor:+.2f} dB")
assert abs(alone - floor) < 0.2

# %%
# **4. A little late.** The video is one frame late, 33 ms, in place of three or twelve. Rank the three by how well
# levels seen and heard agree.

# Solution 4
# the later the worse, and one frame can hardly be told
by_delay = {delay: levels_agree(late(delay)(utterances)) for delay in (1, 3, 12)}
print(
    "solution 4: "
    + ", ".join(f"{delay} frames {value:+.2f}" for delay, value in by_delay.items())
)
assert by_delay[1] > by_delay[12]
assert agreement["right"] - by_delay[1] < agreement["right"] - by_delay[12]

# %%
# **5. The same pictures.** A shuffled video has the same pictures, only in another order. Would a gate notice that sees
# each frame by itself?

# Solution 5
# not from the pictures: their mean is the same to rounding; what is lost is their agreement with the sound
other_order = shuffled(seed=2)(utterances)
difference = float((other_order.mouth.mean(1) - utterances.mouth.mean(1)).abs().max())
print(
    f"solution 5: mean pictures differ by {difference:.1e}; agreement {levels_agree(other_order):+.2f}"
)
assert difference < 1e-4
assert levels_agree(other_order) < agreement["right"]
