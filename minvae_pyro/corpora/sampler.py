"""The order of training: which frames of which utterances make a batch, decided by seed and epoch alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.utils.data import Sampler


@dataclass(frozen=True)
class FrameSpan:
    """Frames ``start`` to ``stop`` of the utterance ``row`` of a corpus."""

    row: int
    start: int
    stop: int


@dataclass(frozen=True)
class Batch:
    """What to load as one batch, and the seed of whatever is random in it."""

    pieces: tuple[FrameSpan, ...]
    seed: int


class BatchOrder(Sampler[Batch]):
    """The batches of every epoch: a pure function of seed and epoch, whoever loads them.

    Utterances are cut into pieces at a place drawn anew each epoch, all pieces are shuffled, and pieces of
    like length share a batch, so that little is padded.

    Args:
        lengths: frames of every utterance.
        batch_size: pieces in a batch.
        crop_frames: length of a piece; whole utterances when None.
        shuffle: False keeps the order of the corpus, and the same batches in every epoch.
        seed: of the run.
    """

    _POOL = 32  # batches among which pieces are sorted by length

    def __init__(
        self, lengths: Sequence[int], batch_size: int, crop_frames: int | None, shuffle: bool, seed: int
    ) -> None:
        self.lengths = list(lengths)
        self.batch_size = batch_size
        self.crop_frames = crop_frames
        self.shuffle = shuffle
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Lightning calls this."""
        self.epoch = epoch

    def __len__(self) -> int:
        pieces = sum(self._count(length) for length in self.lengths)
        return -(-pieces // self.batch_size)

    def _count(self, length: int) -> int:
        return 1 if self.crop_frames is None else max(1, length // self.crop_frames)

    def __iter__(self) -> Iterator[Batch]:
        epoch = self.epoch if self.shuffle else 0
        generator = torch.Generator().manual_seed(_mix(self.seed, epoch))
        pieces = self._pieces(generator)
        if self.shuffle:
            order = torch.randperm(len(pieces), generator=generator).tolist()
            pool = self._POOL * self.batch_size
            pools = [order[i : i + pool] for i in range(0, len(order), pool)]
            order = [p for some in pools for p in sorted(some, key=lambda p: pieces[p].stop - pieces[p].start)]
            pieces = [pieces[p] for p in order]
        batches = [tuple(pieces[i : i + self.batch_size]) for i in range(0, len(pieces), self.batch_size)]
        if self.shuffle:
            batches = [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]
        for number, batch in enumerate(batches):
            yield Batch(batch, _mix(self.seed, epoch, number))

    def _pieces(self, generator: torch.Generator) -> list[FrameSpan]:
        pieces = []
        for row, length in enumerate(self.lengths):
            count = self._count(length)
            size = length if self.crop_frames is None else min(length, self.crop_frames)
            slack = length - count * size
            first = int(torch.randint(slack + 1, (), generator=generator)) if self.shuffle and slack else slack // 2
            pieces += [FrameSpan(row, first + k * size, first + (k + 1) * size) for k in range(count)]
        return pieces


def _mix(*numbers: int) -> int:
    """One seed from several numbers, none of whose simple relations carry over."""
    seed = 0
    for number in numbers:
        seed = (seed * 6364136223846793005 + number + 1442695040888963407) % 2**63
        seed ^= seed >> 29
    return seed
