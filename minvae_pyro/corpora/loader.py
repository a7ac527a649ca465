"""Batches for training, loaded ahead of time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from minvae_pyro.audio.stft import STFT, stft_settings
from minvae_pyro.corpora.corpus import Corpus, PreparedCorpus, Transform
from minvae_pyro.corpora.sampler import Batch, BatchOrder
from minvae_pyro.errors import UserError
from minvae_pyro.utterances import Utterances, concatenate

_AHEAD = 2  # batches that may wait
_END = object()


class LoadingAhead(DataLoader[Utterances]):
    """A loader that works in a thread of its own, a few batches ahead.

    Reading files and torch's operations let other threads run, so a step and the loading of the next batch go side by
    side, without a process that has to start and to send its batches. With ``num_workers`` it is the processes that
    work ahead. Batches are the same either way.
    """

    def __iter__(self) -> Any:
        """Batches in their order; what goes wrong in loading is raised where the batch would have come."""
        batches = super().__iter__()
        return batches if self.num_workers else _ahead(batches)


def _ahead(batches: Any) -> Iterator[Utterances]:
    waiting: queue.Queue[Any] = queue.Queue(_AHEAD)
    given_up = threading.Event()

    def load() -> None:
        try:
            for batch in batches:
                waiting.put((batch, None))
                if given_up.is_set():
                    return
            waiting.put((_END, None))
        except BaseException as error:
            waiting.put((_END, error))

    thread = threading.Thread(target=load, name="loading", daemon=True)
    thread.start()
    try:
        while True:
            batch, error = waiting.get()
            if error is not None:
                raise error
            if batch is _END:
                return
            yield batch
    finally:
        # whoever stops early leaves no thread behind
        given_up.set()
        while thread.is_alive():
            try:
                waiting.get(timeout=0.01)
            except queue.Empty:
                continue


class BatchDataset(Dataset[Utterances]):
    """Loads batches of a corpus and applies transforms.

    Args:
        corpus: where the pieces come from.
        transforms: applied in this order.
    """

    def __init__(self, corpus: Corpus, transforms: Sequence[Transform] = ()) -> None:
        self.corpus = corpus
        self.transforms = list(transforms)

    def __getitem__(self, batch: Batch) -> Utterances:
        """Load one batch, padded to its longest piece."""
        utterances = _join([self.corpus.load(p.row, p.start, p.stop) for p in batch.pieces])
        generator = torch.Generator().manual_seed(batch.seed)
        for transform in self.transforms:
            utterances = transform(utterances, generator, self.corpus)
        return utterances


def _join(utterances: list[Utterances]) -> Utterances:
    if any(one.mouth_seen.any() for one in utterances):
        return concatenate(utterances)
    # absent video need not be copied: one pixel stands for the picture
    joined = concatenate([one.replace(mouth=one.mouth[..., :1, :1]) for one in utterances])
    return joined.replace(mouth=joined.mouth.expand(*joined.mask.shape, *utterances[0].mouth.shape[2:]))


def _as_it_is(batch: Utterances) -> Utterances:
    return batch


class CorpusData:
    """Training and validation batches.

    Args:
        train: prepared folders, or a corpus.
        validation: prepared folders, or a corpus.
        batch_size: utterances (or pieces of them) in a batch.
        crop_frames: cut training utterances into pieces of so many frames, at a place drawn anew each epoch;
            whole utterances when omitted. Validation takes whole utterances.
        noise: injects noise into what the audio encoder hears, in training and, drawn once and for all, in
            validation.
        augmentation: changes the mouth, in training only.
        mouth: read mouths from prepared folders.
        workers: processes that load; 0 loads in a thread beside the training, a few batches ahead. Batches do not
            depend on it.
        seed: decides order and random numbers.

    Raises:
        UserError: folders that cannot be used, or two transforms that differ.
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
        workers: int = 0,
        seed: int = 0,
    ) -> None:
        self.train = _corpus(train, mouth)
        self.validation = _corpus(validation, mouth)
        if stft_settings(self.train.stft) != stft_settings(self.validation.stft):
            raise UserError(
                f"training data have the transform {stft_settings(self.train.stft)}, validation data "
                f"{stft_settings(self.validation.stft)}: prepare them alike."
            )
        if batch_size < 1 or (crop_frames is not None and crop_frames < 1):
            raise UserError("batch_size and crop_frames must be at least 1.")
        self.batch_size = batch_size
        self.crop_frames = crop_frames
        self.noise = noise
        self.augmentation = augmentation
        self.workers = workers
        self.seed = seed

    @property
    def stft(self) -> STFT:
        """The transform that the power comes from."""
        return self.train.stft

    def train_dataloader(self, epoch: int = 0) -> DataLoader[Utterances]:
        """Batches of an epoch; ``sampler.set_epoch`` goes on to another."""
        transforms = [t for t in (self.noise, self.augmentation) if t is not None]
        return self._loader(self.train, transforms, True, epoch)

    def val_dataloader(self) -> DataLoader[Utterances]:
        """The same batches in every epoch."""
        transforms = [] if self.noise is None else [self.noise]
        return self._loader(self.validation, transforms, False)

    def _loader(
        self, corpus: Corpus, transforms: Sequence[Transform], shuffle: bool, epoch: int = 0
    ) -> DataLoader[Utterances]:
        crop = self.crop_frames if shuffle else None
        order = BatchOrder(corpus.lengths, self.batch_size, crop, shuffle, self.seed if shuffle else 0)
        order.set_epoch(epoch)
        return LoadingAhead(
            BatchDataset(corpus, transforms),
            batch_size=None,
            sampler=order,
            collate_fn=_as_it_is,  # type: ignore[arg-type]
            num_workers=self.workers,
            # else every pass would take a number from the generator that training draws from
            generator=torch.Generator(),
            persistent_workers=self.workers > 0,
            multiprocessing_context="spawn" if self.workers else None,
        )


def _corpus(source: list[str] | Corpus, mouth: bool) -> Corpus:
    return PreparedCorpus(source, mouth) if isinstance(source, list) else source
