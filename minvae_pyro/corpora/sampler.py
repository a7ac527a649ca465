"""The order of training: which frames of which utterances make a batch, decided by seed and epoch alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch.utils.data import Sampler

_POOL = 32  # batches among which pieces are sorted by length


class FrameSpan(NamedTuple):
    """Frames ``start`` to ``stop`` of the utterance ``row`` of a corpus."""

    row: int
    start: int
    stop: int


class Batch(NamedTuple):
    """What to load as one batch, and the seed of whatever is random in it.

    One that only keeps a process in step with the others is there for its shape and does not count.
    """

    pieces: tuple[FrameSpan, ...]
    seed: int
    counts: bool = True


@dataclass(eq=False)
class BatchOrder(Sampler[Batch]):
    """The batches of every epoch: a pure function of seed and epoch, whoever loads them.

    Utterances are cut into pieces at a place drawn anew each epoch, all pieces are shuffled, and pieces of like length
    share a batch, so that little is padded.

    Of several processes each has its share of the batches of one with ``batch_size * world``: every ``world``-th piece.
    All have as many batches; whoever gets no piece of the last one has a batch that does not count.

    Attributes:
        lengths: frames of every utterance.
        batch_size: pieces in a batch of one process.
        crop_frames: length of a piece; whole utterances when None.
        shuffle: False keeps the order of the corpus, and the same batches in every epoch.
        seed: of the run.
        epoch: of the run.
        rank: number of this process.
        world: how many processes share the batches.
    """

    lengths: Sequence[int]
    batch_size: int
    crop_frames: int | None
    shuffle: bool
    seed: int
    epoch: int = 0
    rank: int = 0
    world: int = 1

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Lightning calls this."""
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(sum(map(self._count, self.lengths)) / self._together)

    @property
    def _together(self) -> int:
        return self.batch_size * self.world

    def _count(self, length: int) -> int:
        return 1 if self.crop_frames is None else max(1, length // self.crop_frames)

    def __iter__(self) -> Iterator[Batch]:
        epoch = self.epoch if self.shuffle else 0
        generator = torch.Generator().manual_seed(_mix(self.seed, epoch))
        pieces = self._pieces(generator)
        if self.shuffle:
            order = torch.randperm(len(pieces), generator=generator).tolist()
            pools = _chunks([pieces[i] for i in order], _POOL * self._together)
            pieces = [p for pool in pools for p in sorted(pool, key=lambda p: p.stop - p.start)]
        batches = _chunks(pieces, self._together)
        if self.shuffle:
            batches = [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]
        for number, batch in enumerate(batches):
            mine = tuple(batch[self.rank :: self.world])
            seed = _mix(self.seed, epoch, number, *([self.rank] if self.rank else []))
            yield Batch(mine or (batch[0],), seed, bool(mine))

    def _pieces(self, generator: torch.Generator) -> list[FrameSpan]:
        pieces = []
        for row, length in enumerate(self.lengths):
            count = self._count(length)
            size = length if self.crop_frames is None else min(length, self.crop_frames)
            slack = length - count * size
            first = int(torch.randint(slack + 1, (), generator=generator)) if self.shuffle and slack else slack // 2
            pieces += [FrameSpan(row, first + k * size, first + (k + 1) * size) for k in range(count)]
        return pieces


def _chunks(pieces: list[FrameSpan], size: int) -> list[list[FrameSpan]]:
    return [pieces[i : i + size] for i in range(0, len(pieces), size)]


def _mix(*numbers: int) -> int:
    """One seed from several numbers, none of whose simple relations carry over."""
    seed = 0
    for number in numbers:
        seed = (seed * 6364136223846793005 + number + 1442695040888963407) % 2**63
        seed ^= seed >> 29
    return seed
