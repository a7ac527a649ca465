"""Recordings in batches on any device: how time and memory grow with their number, and how far from the arithmetic."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from benchmarks.common import fingerprint, markdown
from benchmarks.growth import peak
from benchmarks.quality import Demonstration, settings
from minvae_pyro.audio.level import level
from minvae_pyro.checkpoints.checkpoint import Checkpoint, load_checkpoint
from minvae_pyro.corpora.workers import one_thread
from minvae_pyro.files import write_atomic
from minvae_pyro.inference import FastVariational, infer
from minvae_pyro.inference.settings import DEFAULT_ENGINE
from minvae_pyro.utterances import Utterances

SIZES = {"cpu": (1, 4, 16, 64), "cuda": (1, 16, 128, 512)}
"""Recordings in a batch, by the kind of device."""

_PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm")
_REPEATS = 200


def measure(
    demonstration: Demonstration, weights: Path, sizes: Sequence[int], device: str, output: Path
) -> pd.DataFrame:
    """Separate so many copies of the utterance at once, from samples to samples; on a CPU on one thread.

    Args:
        demonstration: the utterance.
        weights: a checkpoint, which is used without a mouth.
        sizes: of the batches.
        device: where to compute.
        output: keeps what was measured.

    Returns:
        One row for each size: ``size``, ``seconds`` of sound in all, ``elapsed`` and ``processor`` seconds, and in MB
        the peak of ``memory`` and where it stood ``before``: of the process, or on a GPU of the device.
    """
    rows = []
    for size in sizes:
        key = fingerprint(demonstration.files[1], weights)
        file = output / "batches" / f"{size}-{device}-{settings({'engine': DEFAULT_ENGINE})}-{key}.csv"
        if not file.exists():
            # a peak is one of a process: the size before must not count
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                row = pool.submit(_measure, demonstration.noisy, weights, size, device).result()
            write_atomic(file, pd.DataFrame([row]).to_csv(index=False).encode())
        rows.append(pd.read_csv(file))
    return pd.concat(rows, ignore_index=True)


def _measure(sound: Tensor, weights: Path, size: int, device: str) -> dict[str, object]:
    checkpoint = load_checkpoint(weights).to(device)
    with one_thread():
        _separate(checkpoint, sound[None, :8000].to(device))  # the first call of everything is slow
        before = _memory(device)
        sounds = sound.expand(size, -1).to(device)
        began, used = time.perf_counter(), time.process_time()
        _separate(checkpoint, sounds)
        if device != "cpu":
            torch.cuda.synchronize()
        elapsed, processor = time.perf_counter() - began, time.process_time() - used
    seconds = size * len(sound) / checkpoint.stft.sample_rate
    times = {"seconds": seconds, "elapsed": elapsed, "processor": processor}
    return {"size": size, "device": device, **times, "memory": _memory(device), "before": before}


def _separate(checkpoint: Checkpoint, sounds: Tensor) -> Tensor:
    spectra = torch.stack([checkpoint.stft(sound) for sound in sounds])
    levels = torch.tensor([level(sound) for sound in sounds]).to(spectra.real.dtype)
    found = infer(checkpoint, Utterances.from_spectrum(spectra / levels[:, None, None]))
    return torch.stack([checkpoint.stft.inverse(one, sounds.shape[-1]) for one in found.gain * spectra])


def _memory(device: str) -> float:
    return peak() if device == "cpu" else torch.cuda.max_memory_allocated() / 2**20


def in_table(runs: pd.DataFrame) -> str:
    """Markdown."""
    rows = [
        [
            f"{run['size']:g}",
            f"{run.seconds:.0f}",
            f"{run.elapsed:.2f}",
            f"{run.processor / run.seconds:.3f}",
            f"{run.seconds / run.elapsed:.0f}",
            f"{run.memory:.0f}",
            f"{run.memory - run.before:.0f}",
        ]
        for _, run in runs.iterrows()
    ]
    header = [
        "recordings",
        "sound (s)",
        "work (s)",
        "s per s, processor",
        "times real time, clock",
        "peak memory (MB)",
        "above a start (MB)",
    ]
    return markdown(header, rows, names=0)


def limit(demonstration: Demonstration, weights: Path) -> str:
    """How far inference is from the arithmetic of its decoder, and where the time goes, in Markdown.

    A pass with gradient costs three times the products of the decoder: forward, and both gradients of each product
    (which inference, whose weights are fixed, needs but one of).
    """
    checkpoint = load_checkpoint(weights)
    engine = FastVariational()
    layers = [part for part in checkpoint.prior.decoder.modules() if isinstance(part, nn.Linear)]
    per_pass = 3 * 2 * sum(layer.weight.numel() for layer in layers)
    rate = checkpoint.stft.sample_rate / checkpoint.stft.hop
    passes = engine.iterations * engine.steps
    work = per_pass * passes * rate
    with one_thread():
        speed = _speed(layers, round(rate * 5))
        sound = demonstration.noisy
        _separate(checkpoint, sound[None, :8000])
        used = time.process_time()
        _separate(checkpoint, sound[None])
        used = (time.process_time() - used) * checkpoint.stft.sample_rate / len(sound)
        shares = _shares(lambda: _separate(checkpoint, sound[None]))
    rows: list[list[str]] = [
        ["a pass of the decoder with gradient (MFLOP a frame)", f"{per_pass / 1e6:.2f}"],
        [f"{passes} passes over {rate:.1f} frames (GFLOP per second of sound)", f"{work / 1e9:.2f}"],
        ["products of these sizes on this thread (GFLOP/s)", f"{speed / 1e9:.0f}"],
        ["the limit: s per s", f"{work / speed:.4f}"],
        ["inference: s per s, processor", f"{used:.4f}"],
        ["times the limit", f"{used * speed / work:.1f}"],
        *([f"of its operations, {name}", f"{share:.0%}"] for name, share in shares.items()),
    ]
    return markdown(["what", "measured"], rows, names=1)


def _speed(layers: Sequence[nn.Linear], frames: int) -> float:
    """Floating-point operations a second of the products of a pass, alone."""
    inputs = [torch.randn(frames, layer.in_features) for layer in layers]
    weights = [layer.weight.detach() for layer in layers]
    operations = 2 * frames * sum(weight.numel() for weight in weights)
    began = time.process_time()
    for _ in range(_REPEATS):
        for one, weight in zip(inputs, weights, strict=True):
            one @ weight.T
    return _REPEATS * operations / (time.process_time() - began)


def _shares(work: Any) -> dict[str, float]:
    """Shares of the time in torch's operations: products, whatever goes over tensors element by element, the rest."""
    with profile(activities=[ProfilerActivity.CPU], acc_events=True) as profiler:
        work()
    events = [event for event in profiler.key_averages() if event.key.startswith("aten::")]
    total = sum(event.self_cpu_time_total for event in events)
    elementwise = (
        "exp",
        "log",
        "mul",
        "div",
        "add",
        "sub",
        "neg",
        "clamp",
        "reciprocal",
        "addcmul",
        "where",
        "ge",
        "le",
        "tanh",
        "sum",
    )

    def share(chosen: Any) -> float:
        return sum(event.self_cpu_time_total for event in events if chosen(event.key)) / total

    products = share(lambda key: key in _PRODUCTS)
    over_bins = share(lambda key: key.removeprefix("aten::").rstrip("_").split("_")[0] in elementwise)
    return {"products": products, "element by element": over_bins, "the rest": 1 - products - over_bins}
