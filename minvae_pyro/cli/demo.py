"""``minvae demo``: no data, no network, two minutes."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from minvae_pyro.cli.console import CommandParser, say, tell
from minvae_pyro.files import check_folder, make_folder, write_atomic

if TYPE_CHECKING:
    from minvae_pyro.enhancement.enhance import Enhancement

FILES = ("clean.wav", "noisy.wav", "enhanced.wav", "figure.png", "scores.json", "weights.safetensors")
"""What a demonstration leaves in its folder."""

_SECONDS = 4.0
_NOISE, _SNR = "babble", 0.0
_FIRST_SEED = 9000  # beyond the sentences that the configuration trains and validates on


@dataclass(frozen=True)
class Demonstration:
    """What came out.

    Attributes:
        scores: for "noisy", "enhanced" and "enhanced without video", SI-SDR, PESQ, STOI and ESTOI.
        enhanced: the result with video.
        training_seconds: time that training took.
    """

    scores: dict[str, dict[str, float]]
    enhanced: Enhancement
    training_seconds: float


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = CommandParser(
        prog="minvae demo",
        description="Draw a synthetic talking mouth whose lips drive its formants, train MIN-VAE on it (a "
        "minute or two on two cores), add noise to a sentence that it has not heard, enhance it, score the "
        "result. Writes clean.wav, noisy.wav, enhanced.wav, figure.png, scores.json and weights.safetensors.",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("minvae-demo"),
        metavar="DIR",
        help="folder, made when missing (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="decides training, sentence and noise (default: 0)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files of these names that exist")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    Returns:
        0 when the files are written.

    Raises:
        UserError: a file exists and is to be kept, or the folder cannot be written to.
    """
    given = parser().parse_args(arguments)
    tell("training on a synthetic talker, a minute or two")
    with contextlib.redirect_stdout(sys.stderr):
        shown = demonstrate(given.output, seed=given.seed, overwrite=given.overwrite)
    width = max(map(len, shown.scores))
    columns = {"si_sdr": "SI-SDR dB", "pesq": "PESQ-wb", "stoi": "STOI", "estoi": "ESTOI"}
    say(" " * width + "".join(f"{title:>11}" for title in columns.values()))
    for name, row in shown.scores.items():
        say(f"{name:{width}}" + "".join(f"{row[metric]:11.3f}" for metric in columns))
    say(f"training took {shown.training_seconds:.0f} s; sound, figure, scores, weights are in {given.output}")
    return 0


def demonstrate(
    folder: str | Path, *, seed: int = 0, overwrite: bool = False, training: Sequence[str] = ()
) -> Demonstration:
    """Train MIN-VAE on a synthetic talking mouth, then enhance a noisy sentence that it has not seen.

    The sentence, in the babble of other synthetic talkers as loud as this one, is enhanced with its video and without.

    Args:
        folder: gets :data:`FILES` in the end; made when missing.
        seed: decides training, sentence and noise.
        overwrite: replace files of those names.
        training: options of ``minvae train`` that replace those of the configuration ``demo``.

    Raises:
        UserError: a file exists and is to be kept, or the folder cannot be written to.
        KeyboardInterrupt: interrupted; nothing was written.
    """
    folder = check_folder(folder, FILES, overwrite=overwrite)

    # What can be refused is refused; only now wait for torch and Lightning.
    import torch

    from minvae_pyro.audio.files import Sound, write_sound
    from minvae_pyro.audio.mixing import mix_at_snr
    from minvae_pyro.enhancement.enhance import enhance
    from minvae_pyro.evaluation.scores import scores
    from minvae_pyro.plots import enhancement_figure, save_figure
    from minvae_pyro.synthetic.noise import synthetic_noise
    from minvae_pyro.synthetic.talker import synthesise
    from minvae_pyro.video.track import MouthTrack

    utterance = synthesise(_SECONDS, _FIRST_SEED + seed)
    rate = utterance.sample_rate
    noise = synthetic_noise(_NOISE, len(utterance.waveform), _FIRST_SEED + seed)
    noisy, clean = mix_at_snr(utterance.waveform, noise, _SNR)
    film = MouthTrack(utterance.crops, utterance.times, torch.ones(len(utterance.times), dtype=torch.bool))

    with tempfile.TemporaryDirectory() as temporary:
        began = time.perf_counter()
        weights = _train(["--config", "demo", "--seed", str(seed), *training, "--output", f"{temporary}/run"])
        training_seconds = time.perf_counter() - began
        results = {
            name: enhance(noisy, sample_rate=rate, video=video, checkpoint=weights, seed=seed)
            for name, video in {"enhanced": film, "enhanced without video": None}.items()
        }
        content = weights.read_bytes()
    enhanced = results["enhanced"]
    sounds = {"noisy": noisy} | {name: result.speech[0] for name, result in results.items()}
    measured = {name: scores(clean, sound, rate) for name, sound in sounds.items()}
    table = {
        name: {metric: value for metric, value in row.items() if isinstance(value, float)}
        for name, row in measured.items()
    }

    make_folder(folder)
    for name, sound in {"clean": clean, "noisy": noisy, "enhanced": enhanced.speech[0]}.items():
        write_sound(folder / f"{name}.wav", Sound(sound[None], rate), overwrite=overwrite)
    figure = enhancement_figure(
        noisy,
        enhanced.speech[0],
        clean,
        sample_rate=rate,
        audio_responsibility=enhanced.audio_responsibility,
        frame_times=enhanced.frame_times,
        mouth=enhanced.mouth,
        objective=enhanced.objective,
        title=f"Synthetic talker in {_NOISE} at {_SNR:g} dB",
    )
    save_figure(figure, folder / "figure.png", overwrite=overwrite)
    finite = {
        name: {metric: value if math.isfinite(value) else None for metric, value in row.items()}
        for name, row in table.items()
    }
    write_atomic(folder / "scores.json", f"{json.dumps(finite, indent=2)}\n".encode(), overwrite=overwrite)
    write_atomic(folder / "weights.safetensors", content, overwrite=overwrite)
    return Demonstration(table, enhanced, training_seconds)


def _train(arguments: Sequence[str]) -> Path:
    from minvae_pyro.training.run import train

    try:
        return train(arguments)
    except KeyboardInterrupt:
        # the run lies in a temporary folder: its advice on how to continue is of no use
        raise KeyboardInterrupt from None
