"""Enhancement while the sound arrives: blocks of a noisy recording in, blocks of clean speech out, a little later."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from minvae_pyro.checkpoints.checkpoint import Checkpoint, load_checkpoint
from minvae_pyro.enhancement.enhance import DEFAULT_CHECKPOINT
from minvae_pyro.enhancement.separation import SILENCE
from minvae_pyro.errors import UserError
from minvae_pyro.guides import UtteranceGuide
from minvae_pyro.inference import FastVariational, Inference, InferenceEngine, Settings, infer
from minvae_pyro.inference.settings import ENGINES
from minvae_pyro.models import NoiseModel
from minvae_pyro.registry.build import make
from minvae_pyro.registry.names import Description
from minvae_pyro.utterances import Utterances
from minvae_pyro.video.align import align_mouth
from minvae_pyro.video.track import MouthTrack

Samples: TypeAlias = "Tensor | NDArray[np.floating]"
"""One channel of samples, (samples,), floating point."""

Block: TypeAlias = "Samples | tuple[Samples, MouthTrack | None]"
"""Sound as it arrives, alone or with the pictures of the mouth that have arrived since the block before."""

CONTEXT_SECONDS = 2.0
"""How far back the window reaches over which posterior and noise are fitted; the level is averaged over as long."""

_INAUDIBLE = 1e-4  # of the running level: frames that far below, 80 dB, are left as they are
_GROUP_SECONDS = 0.134  # frames that are decided together
_LOOKAHEAD_SECONDS = 0.07  # how much later sound a frame waits for
_STARTS = 4  # times the engine runs on the first frames, of which nothing is known
_BEGINNING_SECONDS = 1.0  # as long as so little of the noise is known, more iterations pay
_PICTURES_KEPT = 0.5  # seconds before the window: the rate of the pictures is told from several of them


class SpeechStream:
    """Enhancement of a recording that is still going on.

    ::

        for every group of new STFT frames:
            divide by the running level
            begin where the last window stands; new frames by the encoders, their noise at the mean of the window's
            a few iterations on the window: posterior, noise spectra and activations, gain of the speech
            Wiener gain of the new frames that have heard their lookahead, overlap-add

    The sound is cut into groups by the clock, whatever the blocks, so the result does not depend on them. All that is
    kept is one window of frames and the pictures that belong to it.

    Args:
        checkpoint: a shipped name, a file, or a loaded checkpoint, which computes where it is.
        engine: what runs on every window; ``fast`` when omitted, with few iterations, in the first second twice as
            many.
        seed: decides everything random.
        **settings: start, noise and guide instead of the checkpoint's, see :class:`minvae_pyro.inference.Settings`.

    Attributes:
        sample_rate: of the blocks, Hz.
        latency: seconds. Clean speech up to time t is out as soon as sound up to ``t + latency`` has come in.

    Raises:
        UserError: no such checkpoint or setting.
    """

    def __init__(
        self,
        checkpoint: str | os.PathLike[str] | Checkpoint = DEFAULT_CHECKPOINT,
        *,
        engine: Description | InferenceEngine | None = None,
        seed: int = 0,
        **settings: Any,
    ) -> None:
        self._checkpoint = checkpoint if isinstance(checkpoint, Checkpoint) else load_checkpoint(checkpoint)
        few = FastVariational(iterations=6, steps=2, learning_rate=0.1, last_rate=0.03)
        # made once: it takes longer than a window may
        self._engine = make(InferenceEngine, few if engine is None else engine, "engine", ENGINES)  # type: ignore[type-abstract]
        self._first_engine = replace(few, iterations=12) if engine is None else self._engine
        chosen = Settings.choose(self._checkpoint.enhancement, settings)
        noise, guide = make(NoiseModel, chosen.noise, "noise model"), make(UtteranceGuide, chosen.guide, "guide")
        self._settings = {**settings, "noise": noise, "guide": guide}
        stft = self._stft = self._checkpoint.stft
        frames_per_second = stft.sample_rate / stft.hop
        self._context = round(CONTEXT_SECONDS * frames_per_second)
        self._group = max(1, round(_GROUP_SECONDS * frames_per_second))
        self._lookahead = max(1, round(_LOOKAHEAD_SECONDS * frames_per_second))
        self._beginning = round(_BEGINNING_SECONDS * frames_per_second)
        self._half = stft.n_fft // 2
        self._reach = math.ceil(self._half / stft.hop)  # frames on one side that share samples with a frame
        self._seed = seed
        self._ended = False
        # the sound from sample _first on; what is before the recording is silent
        self._sound = torch.zeros(self._reach * stft.hop)
        self._first = -len(self._sound)
        self._arrived = 0
        self._emitted = 0
        self._heard = 0  # frames so far
        # the window: those of the last frames that are not silent, at unit level, and their numbers
        self._levelled = torch.zeros(0, stft.frequencies, dtype=torch.complex64)
        self._numbers = torch.zeros(0, dtype=torch.long)
        self._decided = 0  # frames so far; the last of them, clean:
        self._filtered = torch.zeros(0, stft.frequencies, dtype=torch.complex64)
        self._power, self._weight = 0.0, 0.0
        self._pictures: MouthTrack | None = None
        self._inference: Inference | None = None

    @property
    def sample_rate(self) -> int:
        """Of the blocks, Hz."""
        return self._stft.sample_rate

    @property
    def latency(self) -> float:
        """Seconds by which clean speech comes later than the sound: a group of frames, the lookahead, half a window."""
        hops = self._group + self._lookahead
        return (hops * self._stft.hop + self._half + max(0, self._half - self._stft.hop)) / self.sample_rate

    def push(self, samples: Samples, mouth: MouthTrack | None = None) -> Tensor:
        """Hear a block, and give the clean speech that it makes known.

        Args:
            samples: (samples,) of any length, floating point, at ``sample_rate``.
            mouth: pictures taken meanwhile, with their times in seconds from the beginning of the stream. One that
                comes later than the sound of its time may be too late to be seen.

        Returns:
            (samples,) float32: goes on where the last block ended, and may be empty.

        Raises:
            UserError: the samples are not one channel of finite numbers, the pictures are not in the order of time, or
                the stream has ended.
        """
        if self._ended:
            raise UserError("this stream has ended: begin another one for another recording.")
        block = _checked(samples)
        if mouth is not None and len(mouth.times):
            self._pictures = _joined(self._pictures, mouth)
        self._sound = torch.cat([self._sound, block])
        self._arrived += len(block)
        return self._advance(self._arrived)

    def finish(self) -> Tensor:
        """End the stream, and give the rest: in all as many samples have come out as went in.

        Raises:
            UserError: the stream has ended before, or nothing was heard.
        """
        if self._ended:
            raise UserError("this stream has ended: begin another one for another recording.")
        if self._arrived == 0:
            raise UserError("no sound has come in: give at least one block with samples.")
        self._ended = True
        frames = self._stft.frames(self._arrived)
        silence = (frames - 1 + self._group + self._lookahead) * self._stft.hop + self._half - self._arrived
        self._sound = torch.cat([self._sound, torch.zeros(silence)])
        return self._advance(self._arrived + silence, frames)

    def _advance(self, known: int, frames: int | None = None) -> Tensor:
        """Decide all groups of frames that the sound up to sample ``known`` allows; of ``frames`` frames in all."""
        hop, out = self._stft.hop, [torch.zeros(0)]
        while frames is None or self._decided < frames:
            end = self._decided + self._group
            last = end + self._lookahead if frames is None else min(end + self._lookahead, frames)
            if (last - 1) * hop + self._half > known:
                break
            end = min(end, last)
            dropped = self._hear(last)
            gain = self._fit(last, dropped)
            self._filtered = torch.cat(
                [self._filtered, gain[: end - self._decided] * self._spectrum(self._decided, end)]
            )
            self._decided = end
            out.append(self._overlap_add(self._arrived if end == frames else None))
            self._forget()
        return torch.cat(out)

    def _hear(self, last: int) -> int:
        """Let the frames before ``last`` into the window, at the running level; tell how many have left it."""
        if self._heard == last:
            return 0
        fresh = self._spectrum(self._heard, last)
        # from the power of a frame to that of its samples
        power = fresh.abs().square().mean(1) / self._stft.window.square().sum().cpu()
        if power.max().sqrt() > SILENCE:
            keep = math.exp(-len(fresh) / self._context)
            self._power = keep * self._power + (1 - keep) * float(power.mean())
            self._weight = keep * self._weight + (1 - keep)
        level = math.sqrt(self._power / max(self._weight, SILENCE))
        # silence would pull noise and gain down to nothing, from where multiplicative updates do not come back
        audible = power.sqrt() > max(SILENCE, _INAUDIBLE * level)
        if audible.any():
            self._levelled = torch.cat([self._levelled, fresh[audible] / level])
            self._numbers = torch.cat([self._numbers, self._heard + audible.nonzero()[:, 0]])
        self._heard = last
        dropped = max(0, len(self._levelled) - self._context)
        self._levelled, self._numbers = self._levelled[dropped:], self._numbers[dropped:]
        return dropped

    def _fit(self, last: int, dropped: int) -> Tensor:
        """The gain of the frames from the first undecided one up to ``last``, (N, F); 1 where silent."""
        gain = torch.ones(last - self._decided, self._stft.frequencies)
        undecided = self._numbers >= self._decided
        if not undecided.any():
            return gain
        utterances = self._utterances(last)
        for _ in range(_STARTS if self._inference is None else 1):
            self._inference = infer(
                self._checkpoint,
                utterances,
                engine=self._first_engine if last <= self._beginning else self._engine,
                seed=self._seed + last,
                earlier=self._inference,
                dropped=dropped,
                **self._settings,
            )
            dropped = 0
        assert self._inference is not None
        gain[self._numbers[undecided] - self._decided] = self._inference.gain[0].cpu()[undecided]
        return gain

    def _utterances(self, last: int) -> Utterances:
        """The window, with the pictures that were taken by the end of its sound."""
        device = self._stft.window.device
        spectrum = self._levelled.to(device)
        if self._pictures is None:
            return Utterances.from_spectrum(spectrum)
        hop, rate = self._stft.hop, self.sample_rate
        taken = self._pictures.times <= ((last - 1) * hop + self._half) / rate
        times = self._numbers.double() * (hop / rate)
        crops, seen = align_mouth(_selected(self._pictures, taken), times)
        if not seen.any():
            return Utterances.from_spectrum(spectrum)
        return Utterances.from_spectrum(spectrum, crops.to(device), seen.to(device))

    def _spectrum(self, begin: int, end: int) -> Tensor:
        """Frames ``begin`` up to, not including, ``end`` of the sound, (N, F)."""
        hop = self._stft.hop
        start = (begin - self._reach) * hop - self._first
        stop = (end - 1) * hop + self._half - self._first
        spectrum = self._stft(self._sound[start:stop].to(self._stft.window.device)).cpu()
        return spectrum[self._reach : self._reach + end - begin]

    def _overlap_add(self, total: int | None) -> Tensor:
        """Samples that no later frame can change, from the last one emitted on; up to ``total`` at the end."""
        hop, kept = self._stft.hop, len(self._filtered)
        origin = (self._decided - kept) * hop
        span = (kept - 1) * hop
        settled = self._decided * hop - max(self._half, hop) if total is None else total
        if span == 0 or settled <= self._emitted:
            return torch.zeros(0)
        waveform = self._stft.inverse(self._filtered.to(self._stft.window.device), span).cpu()
        out = waveform[self._emitted - origin : settled - origin]
        self._emitted = settled
        return out

    def _forget(self) -> None:
        """Drop what no later group asks for."""
        hop = self._stft.hop
        # overlap-add starts within the frames around the first sample that is still to come
        oldest = max(0, self._emitted // hop - self._reach)
        self._filtered = self._filtered[max(0, oldest - (self._decided - len(self._filtered))) :]
        first = (self._decided - self._reach) * hop
        self._sound = self._sound[max(0, first - self._first) :]
        self._first = max(self._first, first)
        if self._pictures is not None:
            # a long silence may leave frames in the window whose pictures are gone: they are heard without
            oldest = max(self._decided - 2 * self._context, min([self._decided, *self._numbers[:1].tolist()]))
            recent = self._pictures.times >= oldest * hop / self.sample_rate - _PICTURES_KEPT
            self._pictures = _selected(self._pictures, recent) if recent.any() else None


def enhance_stream(
    blocks: Iterable[Block],
    *,
    checkpoint: str | os.PathLike[str] | Checkpoint = DEFAULT_CHECKPOINT,
    sample_rate: int | None = None,
    **options: Any,
) -> Iterator[Tensor]:
    """Enhance a recording block by block, while it goes on.

    Clean speech leaves at most :attr:`SpeechStream.latency` later than the sound came in (232 ms with the shipped
    checkpoints); memory does not grow with the stream.

    Args:
        blocks: each one channel of samples, (samples,), or a pair of samples and a :class:`MouthTrack` (or None): the
            pictures taken meanwhile, with their times since the beginning of the stream. Blocks may have any length.
        checkpoint: see :class:`SpeechStream`.
        sample_rate: of the blocks, Hz, to be checked; the checkpoint's when omitted.
        **options: engine, seed and settings, see :class:`SpeechStream`.

    Yields:
        (samples,) float32, whenever there are any; in all as many as came in.

    Raises:
        UserError: another sample rate than the checkpoint's, a block that cannot be used, no sound at all.
    """
    stream = SpeechStream(checkpoint, **options)
    if sample_rate is not None and sample_rate != stream.sample_rate:
        raise UserError(
            f"a stream is heard at {stream.sample_rate} Hz, not {sample_rate} Hz: resample the blocks, for example "
            "with torchaudio."
        )
    return _clean_blocks(stream, blocks)


def _clean_blocks(stream: SpeechStream, blocks: Iterable[Block]) -> Iterator[Tensor]:
    for block in blocks:
        samples, mouth = block if isinstance(block, tuple) else (block, None)
        clean = stream.push(samples, mouth)
        if len(clean):
            yield clean
    yield stream.finish()


def _checked(samples: Samples) -> Tensor:
    block = torch.as_tensor(samples).detach().cpu()
    if not block.is_floating_point() or block.dim() != 1:
        kind = str(block.dtype).removeprefix("torch.")
        raise UserError(
            f"a block is one channel of floating-point samples, (samples,), not {tuple(block.shape)} of {kind}."
        )
    if not torch.isfinite(block).all():
        raise UserError("a block has samples that are NaN or infinite: mend them first.")
    return block.float()


def _joined(before: MouthTrack | None, after: MouthTrack) -> MouthTrack:
    tracks = [after] if before is None else [before, after]
    joined = MouthTrack(*(torch.cat([getattr(t, name) for t in tracks]) for name in ("crops", "times", "found")))
    if not (joined.times.diff() > 0).all():
        raise UserError("the pictures of a stream come in the order of their times, each later than the one before.")
    return joined


def _selected(track: MouthTrack, which: Tensor) -> MouthTrack:
    return MouthTrack(track.crops[which], track.times[which], track.found[which])
