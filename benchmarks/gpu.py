"""Measure a GPU beside the CPU: steps of training by precision, and recordings in batches.

python -m benchmarks.gpu
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.common import answer, markdown
from minvae_pyro.audio.mixing import mix_at_snr
from minvae_pyro.checkpoints.checkpoint import Checkpoint, load_checkpoint
from minvae_pyro.corpora.workers import one_thread
from minvae_pyro.enhancement.batch import enhance_batch
from minvae_pyro.errors import UserError
from minvae_pyro.synthetic.noise import synthetic_noise
from minvae_pyro.synthetic.talker import synthesise
from minvae_pyro.training.plan import TrainingPlan
from minvae_pyro.utterances import Utterances
from minvae_pyro.video.track import MouthTrack

SECONDS = 3.0
"""Length of a recording."""

_TALKERS = 8  # that are drawn; a batch repeats them
_BATCH, _FRAMES = 64, 32  # a batch of training, as in the shipped configurations
_PRECISIONS = {"cpu": ("32-true", "bf16-mixed"), "cuda": ("32-true", "tf32", "bf16-mixed")}


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoints", nargs="+", default=["a-vae", "min-vae"], metavar="CHECKPOINT")
    parser.add_argument("--sizes", nargs="+", type=int, default=[1, 16, 64, 256, 1024], help="recordings in a batch")
    parser.add_argument("--steps", type=int, default=100, help="of training")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    Returns:
        0 when all is measured, 2 with one line on stderr when something that was given cannot be used.
    """
    given = parser().parse_args(arguments)
    return answer(lambda: benchmark(given.checkpoints, given.sizes, given.steps))


def benchmark(checkpoints: Sequence[str], sizes: Sequence[int], steps: int) -> str:
    """Both tables, in Markdown.

    Args:
        checkpoints: shipped names or files.
        sizes: of the batches on the GPU; the CPU gets the smallest.
        steps: of training on the GPU; the CPU does a tenth.

    Raises:
        UserError: there is no GPU.
    """
    if not torch.cuda.is_available():
        raise UserError("there is no CUDA device to measure.")
    return "\n\n".join(
        [
            f"On one {torch.cuda.get_device_name()}, beside one thread of its machine's processor.",
            training(checkpoints, steps),
            recordings(checkpoints, sizes),
        ]
    )


def training(checkpoints: Sequence[str], steps: int) -> str:
    """Steps a second, and the loss from the same weights on the same batch, by device and precision."""
    rows = []
    for name in checkpoints:
        for device, precisions in _PRECISIONS.items():
            for precision in precisions:
                loss, rate = _train(name, device, precision, steps if device == "cuda" else max(2, steps // 10))
                rows.append([name, device, precision, f"{loss:.3f}", f"{rate:.1f}", f"{rate * _BATCH * _FRAMES:.0f}"])
    return markdown(["checkpoint", "device", "precision", "first loss", "steps a second", "frames a second"], rows, 3)


def _train(name: str, device: str, precision: str, steps: int) -> tuple[float, float]:
    checkpoint = load_checkpoint(name)
    plan = TrainingPlan(checkpoint.prior, checkpoint.guide).to(device)
    adam = torch.optim.AdamW([p for p in plan.parameters() if p.requires_grad], lr=1e-5)
    batch = _batch(checkpoint).to(device)
    matmul = torch.get_float32_matmul_precision()
    torch.manual_seed(0)

    def step() -> Tensor:
        adam.zero_grad()
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16-mixed"):
            loss = plan(batch)
        loss.backward()
        adam.step()
        return loss.detach()

    try:
        torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
        with one_thread():
            first = float(step())
            for _ in range(2):
                step()
            elapsed = _timed(lambda: [step() for _ in range(steps)], device)
    finally:
        torch.set_float32_matmul_precision(matmul)
    return first, steps / elapsed


def _batch(checkpoint: Checkpoint) -> Utterances:
    generator = torch.Generator().manual_seed(0)
    power = torch.empty(_BATCH, _FRAMES, checkpoint.stft.frequencies).exponential_(generator=generator)
    mouth = torch.rand(_BATCH, _FRAMES, 67, 67, generator=generator)
    return Utterances.from_spectrum(power, mouth)


def recordings(checkpoints: Sequence[str], sizes: Sequence[int]) -> str:
    """Times real time, from samples to samples, and peak memory, by checkpoint and size of the batch."""
    drawn = [synthesise(SECONDS, seed) for seed in range(_TALKERS)]
    noise = [synthetic_noise("babble", len(one.waveform), seed) for seed, one in enumerate(drawn)]
    noisy = [mix_at_snr(one.waveform, other, 0.0)[0] for one, other in zip(drawn, noise, strict=True)]
    mouths = [MouthTrack(one.crops, one.times, torch.ones(len(one.times), dtype=torch.bool)) for one in drawn]
    rows = []
    for name in checkpoints:
        for device, chosen in (("cpu", [min(sizes)]), ("cuda", list(sizes))):
            checkpoint = load_checkpoint(name).to(device)
            enhance_batch(checkpoint, noisy[:1], mouths[:1])  # the first call of everything is slow
            for size in chosen:
                sounds = [noisy[number % _TALKERS] for number in range(size)]
                shown = [mouths[number % _TALKERS] for number in range(size)]
                if device == "cuda":
                    torch.cuda.reset_peak_memory_stats()
                with one_thread():
                    elapsed = _timed(partial(enhance_batch, checkpoint, sounds, shown), device)
                peak = f"{torch.cuda.max_memory_allocated() / 2**30:.2f}" if device == "cuda" else "-"
                rows.append([name, device, f"{size}", f"{elapsed:.2f}", f"{size * SECONDS / elapsed:.0f}", peak])
    return markdown(["checkpoint", "device", "recordings", "work (s)", "times real time", "peak memory (GB)"], rows, 2)


def _timed(work: Callable[[], Any], device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
