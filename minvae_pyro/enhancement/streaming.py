"""Enhancement while the sound arrives: blocks of a noisy recording in, blocks of clean speech out, a little later."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from minvae_pyro.audio.overlap_add import OverlapAdd, StreamingSTFT
from minvae_pyro.checkpoints.checkpoint import Checkpoint, load_checkpoint
from minvae_pyro.enhancement.enhance import DEFAULT_CHECKPOINT
from minvae_pyro.enhancement.filter import infer_spectra
from minvae_pyro.enhancement.recording import as_tensor
from minvae_pyro.enhancement.stream_window import StreamPictures, StreamWindow
from minvae_pyro.errors import UserError
from minvae_pyro.inference import FastVariational, Inference, InferenceEngine, Settings
from minvae_pyro.inference.pyro_parts import make_guide
from minvae_pyro.inference.settings import ENGINES
from minvae_pyro.models import NoiseModel
from minvae_pyro.probability.settled import settled
from minvae_pyro.registry.admission import Trust
from minvae_pyro.registry.build import make
from minvae_pyro.registry.names import Description
from minvae_pyro.video.track import MouthTrack

Samples: TypeAlias = "Tensor | NDArray[np.floating]"
"""One channel of samples, (samples,), floating point."""

Block: TypeAlias = "Samples | tuple[Samples, MouthTrack | None]"
"""Sound as it arrives, alone or with the pictures of the mouth that have arrived since the block before."""

CONTEXT_SECONDS = 2.0
"""How far back the window reaches over which posterior and noise are fitted; the level is averaged over as long."""

_GROUP_SECONDS = 0.134  # frames that are decided together
_LOOKAHEAD_SECONDS = 0.07  # how much later sound a frame waits for
_STARTS = 4  # times the engine runs on the first frames, of which nothing is known
_BEGINNING_SECONDS = 1.0  # as long as so little of the noise is known, more iterations pay


class SpeechStream:
    """Enhancement of a recording that is still going on.

    ::

        for every group of new STFT frames:
            divide by the running level
            begin where the last window stands; new frames by the encoders,
                their noise at the mean of the window's
            a few iterations on the window: posterior, noise spectra and activations,
                gain of the speech
            Wiener gain of the frames whose lookahead is complete, overlap-add

    The sound is cut into groups by the clock, whatever the blocks, so the result does not depend on them. All that is
    kept is one window of frames and the pictures that belong to it.

    Args:
        checkpoint: a shipped name, a file, or a loaded checkpoint, which computes where it is.
        trust: modules of your own whose classes the checkpoint may name, see :func:`minvae_pyro.load_checkpoint`.
        engine: what runs on every window; ``fast`` when omitted, with few iterations, in the first second twice as
            many.
        seed: decides everything random.
        **settings: start, noise and guide instead of the checkpoint's, see :class:`minvae_pyro.inference.Settings`.

    Raises:
        UserError: no such checkpoint or setting.
    """

    @settled()
    def __init__(
        self,
        checkpoint: str | os.PathLike[str] | Checkpoint = DEFAULT_CHECKPOINT,
        *,
        trust: Trust = (),
        engine: Description | InferenceEngine | None = None,
        seed: int = 0,
        **settings: Any,
    ) -> None:
        self._checkpoint = checkpoint if isinstance(checkpoint, Checkpoint) else load_checkpoint(checkpoint, trust)
        few = FastVariational(iterations=6, steps=2, learning_rate=0.1, last_rate=0.03)
        # made once: it takes longer than a window may
        self._engine = make(InferenceEngine, few if engine is None else engine, "engine", ENGINES)  # type: ignore[type-abstract]
        self._first_engine = replace(few, iterations=12) if engine is None else self._engine
        chosen = Settings.of_checkpoint(self._checkpoint.enhancement, self._checkpoint.trust, settings)
        noise = make(NoiseModel, chosen.noise, "noise model")  # type: ignore[type-abstract]
        guide = make_guide(chosen.guide)
        self._settings = {**settings, "noise": noise, "guide": guide}
        stft = self._stft = self._checkpoint.stft
        lengths = (_GROUP_SECONDS, _LOOKAHEAD_SECONDS, _BEGINNING_SECONDS, CONTEXT_SECONDS)
        self._group, self._lookahead, self._beginning, context = (
            max(1, round(seconds * (stft.sample_rate / stft.hop))) for seconds in lengths
        )
        self._seed = seed
        self._ended = False
        self._sound = StreamingSTFT(stft)
        self._undecided = torch.zeros(0, stft.frequencies, dtype=torch.complex64)  # frames
        self._pictures = StreamPictures()
        self._window = StreamWindow(stft, context)
        self._inference: Inference | None = None  # on the window
        self._speech = OverlapAdd(stft)

    @property
    def sample_rate(self) -> int:
        """Of the blocks, Hz."""
        return self._stft.sample_rate

    @property
    def latency(self) -> float:
        """Seconds: clean speech up to time t is out as soon as sound up to ``t + latency`` has come in."""
        # a group of frames, the lookahead, half a window on both sides
        later = (self._group + self._lookahead - 1) * self._stft.hop + self._stft.n_fft // 2
        return (later + self._speech.delay) / self.sample_rate

    @settled()
    def push(self, samples: Samples, mouth: MouthTrack | None = None) -> Tensor:
        """Take in a block, and give the clean speech that it makes known.

        Args:
            samples: (samples,) of any length, floating point, at ``sample_rate``.
            mouth: pictures taken meanwhile, with their times in seconds from the beginning of the stream. One that
                comes later than the sound of its time may be too late to be used.

        Returns:
            (samples,) float32: goes on where the last block ended, and may be empty.

        Raises:
            UserError: the samples are not one channel of finite numbers, the pictures are not in the order of time, or
                the stream has ended.
        """
        self._check_open()
        block = _checked(samples)
        if mouth is not None:
            self._pictures.push(mouth)
        return self._advance(block)

    @settled()
    def finish(self) -> Tensor:
        """End the stream, and give the rest: in all as many samples have come out as went in.

        Raises:
            UserError: the stream has ended before, or had no samples.
        """
        self._check_open()
        samples = self._sound.samples
        if samples == 0:
            raise UserError("no sound has come in: give at least one block with samples.")
        self._ended = True
        last_centre = (self._stft.frames(samples) - 1) * self._stft.hop
        return self._advance(torch.zeros(last_centre + self._stft.n_fft // 2 - samples), samples)

    def _check_open(self) -> None:
        if self._ended:
            raise UserError("this stream has ended: begin another one for another recording.")

    def _advance(self, sound: Tensor, total: int | None = None) -> Tensor:
        """Decide all groups of frames that the sound allows; with its end, in ``total`` samples, all there are."""
        self._undecided = torch.cat([self._undecided, self._sound.push(sound)])
        ahead = self._group + self._lookahead
        out = [torch.zeros(0)]
        while len(self._undecided) >= (ahead if total is None else 1):
            gain = self._gain(self._speech.frames, self._undecided[:ahead])[: self._group]
            clean, self._undecided = gain * self._undecided[: self._group], self._undecided[self._group :]
            out.append(self._speech.push(clean, None if len(self._undecided) else total))
            self._pictures.forget(self._window.oldest(self._speech.frames) * self._stft.hop / self.sample_rate)
        return torch.cat(out)

    def _gain(self, begin: int, spectrum: Tensor) -> Tensor:
        """The gain of undecided frames from number ``begin`` on, (N, F); 1 where silent."""
        last = begin + len(spectrum)
        window = self._window
        fresh = spectrum[window.frames - begin :]
        dropped = window.push(fresh) if len(fresh) else 0
        gain = torch.ones(spectrum.shape)
        undecided = window.numbers >= begin
        if not undecided.any():
            return gain
        now = ((last - 1) * self._stft.hop + self._stft.n_fft // 2) / self.sample_rate
        mouth = self._pictures.at(window.numbers.double() * (self._stft.hop / self.sample_rate), now)
        for _ in range(_STARTS if self._inference is None else 1):
            self._inference = infer_spectra(
                self._checkpoint,
                [window.spectrum],
                [mouth],
                engine=self._first_engine if last <= self._beginning else self._engine,
                seed=self._seed + last,
                earlier=self._inference,
                dropped=dropped,
                **self._settings,
            )
            dropped = 0
        assert self._inference is not None
        gain[window.numbers[undecided] - begin] = self._inference.gain[0].cpu()[undecided]
        return gain


def enhance_stream(
    blocks: Iterable[Block],
    *,
    checkpoint: str | os.PathLike[str] | Checkpoint = DEFAULT_CHECKPOINT,
    sample_rate: int | None = None,
    **options: Any,
) -> Iterator[Tensor]:
    """Enhance a recording block by block, while it goes on.

    Clean speech leaves at most :attr:`SpeechStream.latency` later than the sound came in (240 ms with the shipped
    checkpoints); memory does not grow with the stream.

    Args:
        blocks: each one channel of samples, (samples,), or a pair of samples and a :class:`MouthTrack` (or None): the
            pictures taken meanwhile, with their times since the beginning of the stream. Blocks may have any length.
        checkpoint: see :class:`SpeechStream`.
        sample_rate: of the blocks, Hz, to be checked; the checkpoint's when omitted.
        **options: trust, engine, seed and settings, see :class:`SpeechStream`.

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
    block = as_tensor(samples)
    if not block.is_floating_point() or block.dim() != 1:
        kind = str(block.dtype).removeprefix("torch.")
        raise UserError(
            f"a block is one channel of floating-point samples, (samples,), not {tuple(block.shape)} of {kind}."
        )
    if not torch.isfinite(block).all():
        raise UserError("a block has samples that are NaN or infinite: mend them first.")
    return block.float()
