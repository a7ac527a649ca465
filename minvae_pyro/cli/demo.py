"""``minvae demo``: no data, no network, a minute."""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import math
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from minvae_pyro.cli.console import CommandParser, say, tell
from minvae_pyro.files import check_folder, make_folder, write_atomic

if TYPE_CHECKING:
    from minvae_pyro.enhancement.enhance import Enhancement
    from minvae_pyro.video.track import MouthTrack

FILES = ("clean.wav", "noisy.wav", "enhanced.wav", "figure.png", "scores.json", "weights.safetensors")
"""What a demonstration leaves in its folder."""

_SECONDS = 6.0
_NOISE, _SNR = "babble", 0.0
SPANS = {"covered": (1.5, 2.5), "frozen": (4.0, 5.0)}
"""What is wrong with the video of the demonstration, and from when to when, in seconds."""

_GATE = "min-vae-s1"  # has learnt from people when sound and mouth agree
_MIXING_WEIGHT = 0.95  # prior log-odds of 3 for the sound, as in the shipped model
_HELD = {"always the mouth": 0, "always the sound": 1}  # alpha
_FIRST_SEED = 9000  # beyond the sentences that the configuration trains and validates on


@dataclass(frozen=True)
class Demonstration:
    """What came out.

    Attributes:
        scores: SI-SDR, PESQ, STOI and ESTOI of "noisy", of "enhanced", where the mixture decides frame by frame, and of
            "always the mouth" and "always the sound", where it does not.
        enhanced: the result of the mixture's decision.
        responsibility: mean audio responsibility where the video is "right", "covered" and "frozen".
        training_seconds: time that training took.
    """

    scores: dict[str, dict[str, float]]
    enhanced: Enhancement
    responsibility: dict[str, float]
    training_seconds: float


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = CommandParser(
        prog="minvae demo",
        description="Draw a synthetic talking mouth whose lips drive its formants, train MIN-VAE on it (less than a "
        "minute on two cores), add noise to a sentence that it has not heard, cover its video for a second and freeze "
        "it for another, enhance it, score the result with and without the mixture's decision. Writes clean.wav, "
        "noisy.wav, enhanced.wav, figure.png, scores.json and weights.safetensors.",
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
    tell("training on a synthetic talker, less than a minute")
    with contextlib.redirect_stdout(sys.stderr):
        shown = demonstrate(given.output, seed=given.seed, overwrite=given.overwrite)
    width = max(map(len, shown.scores))
    columns = {"si_sdr": "SI-SDR dB", "pesq": "PESQ-wb", "stoi": "STOI", "estoi": "ESTOI"}
    say(" " * width + "".join(f"{title:>11}" for title in columns.values()))
    for name, row in shown.scores.items():
        say(f"{name:{width}}" + "".join(f"{row[metric]:11.3f}" for metric in columns))
    trust = ", ".join(f"{name} {value:.2f}" for name, value in shown.responsibility.items())
    say(f"audio responsibility where the video is {trust}")
    say(f"training took {shown.training_seconds:.0f} s; sound, figure, scores, weights are in {given.output}")
    return 0


def demonstrate(
    folder: str | Path, *, seed: int = 0, overwrite: bool = False, training: Sequence[str] = ()
) -> Demonstration:
    """Train MIN-VAE on a synthetic talking mouth, then enhance a noisy sentence that it has not seen.

    The sentence is in the babble of other synthetic talkers as loud as this one, and its video is wrong in
    :data:`SPANS`. It is enhanced with alpha as a gate decides it, the shipped one, which has never met this talker, and
    with alpha held at either value.

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
    from minvae_pyro.probability.handlers import condition_alpha
    from minvae_pyro.synthetic.noise import synthetic_noise
    from minvae_pyro.synthetic.talker import synthesise
    from minvae_pyro.video.track import MouthTrack

    utterance = synthesise(_SECONDS, _FIRST_SEED + seed)
    rate = utterance.sample_rate
    noise = synthetic_noise(_NOISE, len(utterance.waveform), _FIRST_SEED + seed)
    noisy, clean = mix_at_snr(utterance.waveform, noise, _SNR)
    seen = torch.ones(len(utterance.times), dtype=torch.bool)
    film = _spoil(MouthTrack(utterance.crops, utterance.times, seen))

    with tempfile.TemporaryDirectory() as temporary:
        began = time.perf_counter()
        weights = _train(Path(temporary), seed, training)
        training_seconds = time.perf_counter() - began
        content = weights.read_bytes()

        def enhanced_by(held: int | None) -> Enhancement:
            with contextlib.nullcontext() if held is None else condition_alpha(held):
                return enhance(noisy, sample_rate=rate, video=film, checkpoint=weights, seed=seed)

        results = {name: enhanced_by(held) for name, held in {"enhanced": None, **_HELD}.items()}
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
        spans=SPANS,
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
    return Demonstration(table, enhanced, _mean_responsibility(enhanced), training_seconds)


def _spoil(track: MouthTrack) -> MouthTrack:
    """The film with its spans: while it is covered no mouth is found, and nothing tells that it is frozen."""
    from minvae_pyro.video.track import MouthTrack

    covered, frozen = ((track.times >= start) & (track.times < stop) for start, stop in SPANS.values())
    crops = track.crops.clone()
    crops[covered] = 0
    crops[frozen] = crops[frozen][:1]
    return MouthTrack(crops, track.times, track.found & ~covered)


def _mean_responsibility(enhanced: Enhancement) -> dict[str, float]:
    """The mean audio responsibility of the frames outside of the spans, and in each."""
    times, responsibility = enhanced.frame_times, enhanced.audio_responsibility
    assert responsibility is not None
    within = {name: (times >= start) & (times < stop) for name, (start, stop) in SPANS.items()}
    right = ~(within["covered"] | within["frozen"])
    return {name: float(responsibility[frames].mean()) for name, frames in {"right": right, **within}.items()}


def _train(folder: Path, seed: int, options: Sequence[str]) -> Path:
    """Train the model; the weights, with the shipped gate, lie in the folder."""
    from minvae_pyro.checkpoints.checkpoint import load_checkpoint, save_checkpoint
    from minvae_pyro.training.run import train

    try:
        trained = train(["--config", "demo", "--seed", str(seed), *options, "--output", str(folder / "run")])
    except KeyboardInterrupt:
        # the run lies in a temporary folder: its advice on how to continue is of no use
        raise KeyboardInterrupt from None
    model, judge = load_checkpoint(trained), load_checkpoint(_GATE)
    description = copy.deepcopy({part: model.metadata[part] for part in ("prior", "guide", "tie")})
    # training is over: whether the mouth is right is asked of the recording, not held at one half
    description["guide"]["init_args"]["responsibility"] = judge.metadata["guide"]["init_args"]["responsibility"]
    guide: Any = model.guide
    guide.responsibility = cast(Any, judge.guide).responsibility
    return save_checkpoint(
        folder / "weights.safetensors",
        model.prior,
        guide,
        description,
        model.stft,
        enhancement={**model.enhancement, "start": "both", "mixing_weight": _MIXING_WEIGHT},
        training=model.metadata["training"],
        credits=judge.metadata["credits"],
    )
