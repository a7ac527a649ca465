r"""
Lesson 11: a person, heard and seen
===================================

The other lessons have a drawing for a talker. This one takes the shipped model to three seconds of a person who is
filmed and recorded: from the file to the mouth, into noise, out of it again by ear and by eye, and then with the video
covered for a while and frozen for another. The clip comes with the package, so nothing is downloaded: talker 1 of the
GRID corpus (Cooke, Barker, Cunningham & Shao 2006, Zenodo 3625687, CC-BY 4.0).
"""

from dataclasses import replace

import torch
from torch import Tensor

import minvae_pyro
from minvae_pyro.audio.mixing import mix_at_snr
from minvae_pyro.enhancement.recording import read_recording
from minvae_pyro.evaluation.scores import si_sdr
from minvae_pyro.lessons import grid_clip, play, show
from minvae_pyro.plots import enhancement_figure
from minvae_pyro.synthetic.noise import synthetic_noise
from minvae_pyro.video.track import MouthTrack

# %%
# From a file to a mouth
# ----------------------
#
# ``read_recording`` takes the sound out of a file, looks for a face in every picture, and cuts the mouth out of it, 67
# pixels wide and upright, each picture with its time on the clock of the sound.

recording = read_recording(grid_clip())
mouth, rate = recording.mouth, recording.sound.sample_rate
assert mouth is not None
speech = recording.sound.mono()
print(
    f"{recording.sound.seconds:.2f} s of sound at {rate} Hz, {len(mouth.times)} pictures, ",
    end="",
)
print(f"a mouth in {int(mouth.found.sum())} of them")
assert mouth.found.all()

# %%
# Into noise
# ----------
#
# The babble of six synthetic talkers, as loud as the person: noise that is made of speech. The shipped model has heard
# and seen other sentences of this talker, not this one, and no noise of this kind.

noisy, clean = mix_at_snr(speech, synthetic_noise("babble", len(speech), seed=5), 0.0)
checkpoint = minvae_pyro.load_checkpoint("min-vae")


def enhanced(video: MouthTrack | None) -> minvae_pyro.Enhancement:
    """What the model makes of the recording beside a video, or without one."""
    return minvae_pyro.enhance(
        noisy, sample_rate=rate, video=video, checkpoint=checkpoint
    )


def quality(of: minvae_pyro.Enhancement) -> float:
    """SI-SDR in decibels."""
    return float(si_sdr(clean, of.speech[0]))


result, by_ear = enhanced(mouth), enhanced(None)
print(
    f"SI-SDR: {float(si_sdr(clean, noisy)):.2f} dB heard, {quality(by_ear):.2f} by ear alone, ",
    end="",
)
print(f"{quality(result):.2f} with the mouth")
assert quality(result) > max(quality(by_ear), float(si_sdr(clean, noisy))) + 5

# %%
# By ear alone the model cannot know which of seven voices is meant, and does hardly anything. The mouth tells. Numbers
# are one thing; these are what they stand for.

play(
    {
        "noisy": noisy,
        "enhanced by ear alone": by_ear.speech[0],
        "enhanced": result.speech[0],
        "clean": clean,
    },
    rate,
)

# %%
# When the eyes err
# -----------------
#
# For 0.6 s the mouth is covered, so that no face is found; for another 0.6 s the video stands still, which nothing in
# it tells. The responsibility :math:`r_n = q(\alpha_n = 1)` says frame by frame how far the sound is trusted and not
# the mouth. Where no mouth is found it is one by definition; in a frozen picture the gate has to notice that what is
# seen does not go with what is heard (lesson 9).

spans = {"covered": (0.6, 1.2), "frozen": (1.6, 2.2)}
covered, frozen = (
    (mouth.times >= start) & (mouth.times < stop) for start, stop in spans.values()
)
crops = mouth.crops.clone()
crops[covered] = 0
crops[frozen] = crops[frozen][:1].clone()
spoilt = enhanced(MouthTrack(crops, mouth.times, mouth.found & ~covered))


def responsibility(of: minvae_pyro.Enhancement, start: float, stop: float) -> Tensor:
    """Mean responsibility of the sound from one second to another."""
    assert of.audio_responsibility is not None
    return of.audio_responsibility[
        (of.frame_times >= start) & (of.frame_times < stop)
    ].mean()


for name, span in spans.items():
    print(
        f"{name}: r {responsibility(result, *span):.2f} with the right video, {responsibility(spoilt, *span):.2f} so"
    )
print(f"SI-SDR: {quality(spoilt):.2f} dB with the video that errs")
assert responsibility(spoilt, 0.65, 1.15) > 0.999
assert responsibility(spoilt, 1.6, 2.2) > responsibility(result, 1.6, 2.2) + 0.15

# %%
# What is lost is less than what the mouth brings: the frames that the gate doubts are enhanced by ear, the others still
# know whom to listen to.

assert quality(by_ear) + 1 < quality(spoilt) < quality(result)

# %%
# The figure: what was heard, what came out, and what was said, each as a spectrogram; the responsibility, its spans
# marked, over the mouths that the model saw.

figure = enhancement_figure(
    noisy,
    spoilt.speech[0],
    clean,
    sample_rate=rate,
    audio_responsibility=spoilt.audio_responsibility,
    frame_times=spoilt.frame_times,
    mouth=spoilt.mouth,
    spans=spans,
    title="GRID, talker 1, in babble at 0 dB",
)
show(figure, "11_a_real_recording")

# %%
# Exercises
# ---------
#
# Each changes one thing. Say first what will come of it, then look at the solution, which checks it.
#
# **1. A black video.** The mouth is black in every picture, and nothing says that it is not found. What will the gate
# do?

# Solution 1
# it sees a mouth that never moves beside a voice that does
black = replace(mouth, crops=torch.zeros_like(mouth.crops))
seen_black = enhanced(video=black)
doubt, trust = (float(responsibility(of, 0.0, 3.0)) for of in (seen_black, result))
print(f"solution 1: mean responsibility {doubt:.2f}, with the right video {trust:.2f}")
assert doubt > trust

# %%
# **2. No mouth found.** The tracker finds no face in any frame. Which of the results above will that be?

# Solution 2
# that of the ear alone: r = 1 by definition
lost = enhanced(video=replace(mouth, found=torch.zeros_like(mouth.found)))
print(
    f"solution 2: SI-SDR {quality(lost):.2f} dB, by ear alone {quality(by_ear):.2f} dB"
)
assert abs(quality(lost) - quality(by_ear)) < 0.05

# %%
# **3. Speech and the rest.** The estimates of speech and noise are added. What comes out?

# Solution 3
# the recording: the noise is what the filter leaves
error = float((result.speech + result.noise - noisy).abs().max())
print(f"solution 3: the sum differs from the recording by {error:.1e}")
assert error < 1e-5

# %%
# **4. Half as loud.** The recording is half as loud. What becomes of the estimate?

# Solution 4
# it is half as loud as well: inference works at a level of one
softer = minvae_pyro.enhance(
    0.5 * noisy, sample_rate=rate, video=mouth, checkpoint=checkpoint
)
difference = float(
    (softer.speech - 0.5 * result.speech).abs().max() / result.speech.abs().max()
)
print(f"solution 4: deviation from half of the estimate {difference:.1e} of its peak")
assert difference < 1e-2

# %%
# **5. Nothing to take away.** The clean recording is enhanced. What should be left of it?

# Solution 5
# nearly all, and not all: what the prior cannot say is taken for noise
untouched = minvae_pyro.enhance(
    clean, sample_rate=rate, video=mouth, checkpoint=checkpoint
)
kept = float(si_sdr(clean, untouched.speech[0]))
print(f"solution 5: SI-SDR {kept:.1f} dB from a recording without noise")
assert kept > quality(result)
