"""What checkpoints gain on clips of a talker that were held back, in noise that needs no file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from minvae_pyro.audio.files import read_sound
from minvae_pyro.audio.mixing import mix_at_snr
from minvae_pyro.checkpoints.checkpoint import Checkpoint
from minvae_pyro.corpora.prepare import Tracks
from minvae_pyro.enhancement.batch import enhance_batch
from minvae_pyro.evaluation.scores import scores
from minvae_pyro.synthetic.noise import synthetic_noise
from minvae_pyro.video.mouth import read_mouth
from minvae_pyro.video.track import MouthTrack

_NOISES = ("babble", "pink")
_RATIOS = (-5.0, 0.0, 5.0)  # dB
_SCORES = ("si_sdr", "pesq", "estoi")


@dataclass(frozen=True)
class Gains:
    """Gains over the noisy input.

    Attributes:
        table: one row for each mixture and system; columns ``system``, ``video``, ``clip``, ``noise``, ``snr_db`` and
            the gain in each score.
    """

    table: pd.DataFrame

    def means(self) -> pd.DataFrame:
        """Mean gains by system and video, in the order of measuring."""
        return self.table.groupby(["system", "video"], sort=False)[list(_SCORES)].mean()

    def markdown(self) -> str:
        """Mean gains as a table for people."""
        clips = self.table["clip"].nunique()
        lines = [
            f"Mean gains over the noisy input on {clips} clips that were held back, in synthetic babble and pink noise "
            f"at {', '.join(f'{ratio:g}' for ratio in _RATIOS)} dB.",
            "",
            "| checkpoint | video | SI-SDR dB | PESQ-wb | ESTOI |",
            "|---|---|--:|--:|--:|",
        ]
        for row in self.means().reset_index().itertuples():
            lines.append(f"| {row.system} | {row.video} | {row.si_sdr:+.2f} | {row.pesq:+.3f} | {row.estoi:+.3f} |")
        return "\n".join(lines) + "\n"


def measure_gains(
    systems: Mapping[str, Checkpoint],
    clips: Sequence[Path],
    seed: int,
    progress: Callable[[str, int, int], None],
    tracks: Tracks | None = None,
) -> Gains:
    """Score checkpoints on mixtures of clean clips with synthetic noise, with the right video and with a wrong one.

    The wrong video is that of the next clip; of a single clip its own, played backwards.

    Args:
        systems: checkpoints by name.
        clips: clean videos.
        seed: of the noise and of inference.
        progress: called with how many clips are done.
        tracks: which tracks of the clips are used.
    """
    chosen = tracks or Tracks()
    mouths = [_mouth(clip, chosen) for clip in clips]
    wrong = [*mouths[1:], mouths[0]]
    if len(clips) == 1:
        wrong = [replace(mouths[0], crops=mouths[0].crops.flip(0), found=mouths[0].found.flip(0))]
    rows = []
    for number, clip in enumerate(clips):
        clean = read_sound(clip, chosen.audio_track).resample(16000).mono()
        mixtures = [
            (noise, ratio, *mix_at_snr(clean, synthetic_noise(noise, len(clean), seed + number), ratio))
            for noise in _NOISES
            for ratio in _RATIOS
        ]
        sounds = [noisy for _, _, noisy, _ in mixtures]
        before = [scores(speech, noisy, 16000) for _, _, noisy, speech in mixtures]
        for system, checkpoint in systems.items():
            for video, mouth in (("right", mouths[number]), ("wrong", wrong[number])):
                estimates = enhance_batch(checkpoint, sounds, [mouth] * len(sounds), seed)
                for (noise, ratio, _, speech), old, estimate in zip(mixtures, before, estimates, strict=True):
                    new = scores(speech, estimate.speech, 16000)
                    gain = {name: new[name] - old[name] for name in _SCORES}
                    kind = {"system": system, "video": video, "clip": clip.name, "noise": noise, "snr_db": ratio}
                    rows.append({**kind, **gain})
        progress("measuring what was gained", number + 1, len(clips))
    return Gains(pd.DataFrame(rows))


def _mouth(clip: Path, tracks: Tracks) -> MouthTrack:
    """The mouth of a clip, on the clock of its sound."""
    mouth = read_mouth(clip, track=tracks.video_track, sound_track=tracks.audio_track)
    return mouth.follow(read_sound(clip, tracks.audio_track).clock)
