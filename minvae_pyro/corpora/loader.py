"""Batches for training, loaded ahead of time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from minvae_pyro.corpora.corpus import Corpus, PreparedCorpus, Transform, common_stft
from minvae_pyro.corpora.sampler import Batch, BatchOrder
from minvae_pyro.errors import UserError, about
from minvae_pyro.utterances import Utterances, concatenate

_AHEAD = 3  # batches that are loaded before they are asked for


class LoadingAhead(DataLoader[Utterances]):
    """A loader that works in a thread of its own, a few batches ahead.

    Reading files and torch's operations let other threads run, so a step and the loading of the next batch go side by
    side, without a process that has to start and to send its batches. With ``num_workers`` it is the processes that
    work ahead. Batches are the same either way.
    """

    def __iter__(self) -> Any:
        """Batches in their order; an error in loading is raised where its batch would have come."""
        batches = super().__iter__()
        return batches if self.num_workers else _ahead(batches)


def _ahead(batches: Any) -> Iterator[Utterances]:
    pool = ThreadPoolExecutor(1)  # one thread: batches stay in order
    waiting = deque(pool.submit(next, batches, None) for _ in range(_AHEAD))
    try:
        while (batch := waiting.popleft().result()) is not None:
            waiting.append(pool.submit(next, batches, None))
            yield batch
    finally:
        # no thread outlives a loop that stops early
        pool.shutdown(cancel_futures=True)


@dataclass(eq=False)
class BatchDataset(Dataset[Utterances]):
    """Loads batches of a corpus and applies transforms in their order.

    Attributes:
        corpus: where the batches come from.
        transforms: what is done to each.
        independent: as of :class:`CorpusData`.
        others: where transforms find other clips; ``corpus`` when omitted.
    """

    corpus: Corpus
    transforms: Sequence[Transform] = ()
    independent: float | None = None
    others: Corpus | None = None

    def __getitem__(self, batch: Batch) -> Utterances:
        """Load one batch, padded to its longest piece."""
        utterances = _join([self.corpus.load(p.row, p.start, p.stop) for p in batch.pieces])
        generator = torch.Generator().manual_seed(batch.seed)
        if self.independent is not None:
            share = utterances.noisy_power.new_full(utterances.mask.shape, self.independent)
            utterances = utterances.replace(independent=share)
        for transform in self.transforms:
            utterances = transform(utterances, generator, self.others or self.corpus)
        # of padding nothing counts
        return utterances if batch.counts else utterances.replace(mask=torch.zeros_like(utterances.mask))


def _join(utterances: list[Utterances]) -> Utterances:
    if any(one.mouth_seen.any() for one in utterances):
        return concatenate(utterances)
    # absent video need not be copied: one pixel stands for the picture
    joined = concatenate([one.replace(mouth=one.mouth[..., :1, :1]) for one in utterances])
    return joined.replace(mouth=joined.mouth.expand(*joined.mask.shape, *utterances[0].mouth.shape[2:]))


def _opened(source: list[str] | Corpus, mouth: bool, key: str) -> Corpus:
    with about(key):
        return PreparedCorpus(source, mouth) if isinstance(source, list) else source


class CorpusData:
    """Training and validation batches.

    Args:
        train: prepared folders, or a corpus.
        validation: prepared folders, or a corpus.
        batch_size: utterances (or pieces of them) in a batch of one process.
        crop_frames: cut training utterances into pieces of so many frames, at a place drawn anew each epoch; whole
            utterances when omitted. Validation takes whole utterances.
        noise: injects noise into the input of the audio encoder, in training and, drawn once and for all, in
            validation.
        augmentation: changes the mouth, in training only.
        mouth: read mouths from prepared folders.
        independent: share of overlapping cells that count in the likelihood, 0 to 1; all when omitted. Equation
            :eq:`independent-cells`.
        workers: processes that load; 0 loads in a thread beside the training, a few batches ahead. Batches do not
            depend on it.
        seed: decides order and random numbers.

    Raises:
        UserError: folders that cannot be used, or two STFTs that differ.
    """

    def __init__(
        self,
        train: list[str] | Corpus,
        validation: list[str] | Corpus,
        batch_size: int = 16,
        crop_frames: int | None = None,
        noise: Transform | None = None,
        augmentation: Transform | None = None,
        mouth: bool = True,
        independent: float | None = None,
        workers: int = 0,
        seed: int = 0,
    ) -> None:
        self.train, self.validation = (
            _opened(source, mouth, key) for key, source in (("data.train", train), ("data.validation", validation))
        )
        common_stft({"training data": self.train.stft, "validation data": self.validation.stft})
        if batch_size < 1 or (crop_frames is not None and crop_frames < 1):
            raise UserError("batch_size and crop_frames must be at least 1.")
        if independent is not None and not 0 < independent <= 1:
            raise UserError(f"independent is a share of the cells, above 0 and at most 1, not {independent}.")
        self.independent = independent
        self.batch_size = batch_size
        self.crop_frames = crop_frames
        self.noise = noise
        self.augmentation = augmentation
        self.workers = workers
        self.seed = seed

    def train_dataloader(self, epoch: int = 0, rank: int = 0, world: int = 1) -> DataLoader[Utterances]:
        """Batches of an epoch for one of ``world`` processes; ``sampler.set_epoch`` goes on to another."""
        return self._loader(self.train, self.noise, self.augmentation, shuffle=True, epoch=epoch, share=(rank, world))

    def val_dataloader(self, rank: int = 0, world: int = 1) -> DataLoader[Utterances]:
        """The same batches in every epoch."""
        return self._loader(self.validation, self.noise, shuffle=False, share=(rank, world))

    def _loader(
        self, corpus: Corpus, *transforms: Transform | None, shuffle: bool, epoch: int = 0, share: tuple[int, int]
    ) -> DataLoader[Utterances]:
        crop = self.crop_frames if shuffle else None
        seed = self.seed if shuffle else 0
        order = BatchOrder(corpus.lengths, self.batch_size, crop, shuffle, seed, epoch, *share)
        return LoadingAhead(
            BatchDataset(
                corpus, [transform for transform in transforms if transform is not None], self.independent, self.train
            ),
            batch_size=None,
            sampler=order,
            num_workers=self.workers,
            # else every pass would take a number from the generator that training draws from
            generator=torch.Generator(),
            persistent_workers=self.workers > 0,
            multiprocessing_context="spawn" if self.workers else None,
        )
