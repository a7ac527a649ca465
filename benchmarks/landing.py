"""Draw and sound the recording of the documentation's first page: noisy, enhanced, and whom each frame trusts.

python -m benchmarks.landing grid/s26/bgbsza.mpg noise/doing-the-dishes.flac --offset 320000 --output docs/_static
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import soundfile
from matplotlib.figure import Figure
from torch import Tensor

from benchmarks.common import answer
from minvae_pyro.audio.files import read_sound
from minvae_pyro.audio.mixing import mix_at_snr
from minvae_pyro.enhancement.enhance import Enhancement, enhance
from minvae_pyro.errors import UserError
from minvae_pyro.evaluation.scores import scores
from minvae_pyro.files import write_atomic
from minvae_pyro.plots.responsibilities import draw_responsibility, draw_strip
from minvae_pyro.plots.spectrograms import draw_spectrograms, share_time

_RATE = 16000
_INKS = {"light": "#222222", "dark": "#d0d0d0"}
_METRICS = {"si_sdr": "SI-SDR (dB)", "pesq": "PESQ-wb", "estoi": "ESTOI"}


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.landing", description=__doc__.splitlines()[0])
    parser.add_argument("clip", type=Path, help="video of a talker with clean sound")
    parser.add_argument("noise", type=Path, help="sound of a noise")
    parser.add_argument("--offset", type=int, default=0, metavar="N", help="samples at 16 kHz that the noise skips")
    parser.add_argument("--snr", type=float, default=0.0, metavar="DB", help="level of the clip above the noise")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="gets two sounds and two figures")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    Returns:
        0 when the files are written, 2 with one line on stderr when something that was given cannot be used.
    """
    given = parser().parse_args(arguments)
    return answer(lambda: benchmark(given.clip, given.noise, given.output, offset=given.offset, snr=given.snr))


def benchmark(clip: Path, noise: Path, output: Path, *, offset: int = 0, snr: float = 0.0) -> str:
    """Mix, enhance with the shipped model, and write ``landing-*`` into a folder, over earlier ones.

    Args:
        clip: video of a talker with clean sound.
        noise: sound of a noise, as long as the clip after the offset.
        output: the folder.
        offset: samples at 16 kHz that the noise skips.
        snr: level of the clip above the noise, dB.

    Returns:
        str: the scores before and after.

    Raises:
        UserError: a file cannot be read, or the noise is too short.
    """
    speech = read_sound(clip).resample(_RATE).mono()
    other = read_sound(noise).resample(_RATE).mono()[offset : offset + len(speech)]
    if len(other) < len(speech):
        raise UserError(f"{noise} ends before the clip does, {offset} samples on: give a smaller --offset.")
    noisy, clean = mix_at_snr(speech, other, snr)
    result = enhance(noisy, sample_rate=_RATE, video=str(clip))
    enhanced = result.speech[0]
    for name, sound in {"noisy": noisy, "enhanced": enhanced}.items():
        write_atomic(output / f"landing-{name}.mp3", _mp3(sound), overwrite=True)
    for theme, ink in _INKS.items():
        write_atomic(output / f"landing-{theme}.webp", _webp(noisy, result, ink), overwrite=True)
    before, after = (scores(clean, sound, _RATE) for sound in (noisy, enhanced))
    return ", ".join(f"{title} {before[one]:.2f} to {after[one]:.2f}" for one, title in _METRICS.items())


def _mp3(sound: Tensor) -> bytes:
    file = io.BytesIO()
    # room below full scale: decoders of lossy sound overshoot
    soundfile.write(file, (0.7 * sound / sound.abs().max()).numpy(), _RATE, format="MP3")
    return file.getvalue()


def _webp(noisy: Tensor, result: Enhancement, ink: str) -> bytes:
    """The figure without a ground, its letters in one colour."""
    keys: Any = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "grid.color")
    with matplotlib.rc_context({**dict.fromkeys(keys, ink), "axes.facecolor": "none", "font.size": 11}):
        file = io.BytesIO()
        _figure(noisy, result).savefig(
            file, format="webp", dpi=130, transparent=True, pil_kwargs={"quality": 80, "method": 6}
        )
    return file.getvalue()


def _figure(noisy: Tensor, result: Enhancement) -> Figure:
    """From top to bottom: the mouths, the noisy sound, the enhanced sound, the responsibility."""
    figure = Figure(figsize=(9, 6.2), layout="constrained")
    grid = figure.add_gridspec(4, 2, height_ratios=[0.75, 2, 2, 1.1], width_ratios=[1, 0.018])
    rows = [figure.add_subplot(grid[row, 0]) for row in range(4)]
    duration = len(noisy) / _RATE
    sounds = {"noisy": noisy, "enhanced": result.speech[0]}
    draw_spectrograms(rows[1:3], sounds, _RATE, figure.add_subplot(grid[1:3, 1]))
    if result.mouth is not None:
        draw_strip(rows[0], result.mouth, duration)
    if result.audio_responsibility is not None:
        line = {"": result.audio_responsibility}
        draw_responsibility(rows[3], line, result.frame_times, result.mouth)
        rows[3].lines[0].set_color(rows[3].yaxis.label.get_color())
    share_time(rows, duration)
    figure.align_ylabels()
    return figure


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
