"""Corpora of utterances, and batches of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from lightning.pytorch import LightningDataModule
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from minvae_pyro.audio.stft import STFT
from minvae_pyro.corpora.ahead import LoadingAhead
from minvae_pyro.corpora.manifest import Entry, read_manifest, read_stft, stft_settings
from minvae_pyro.corpora.order import Batch, BatchOrder
from minvae_pyro.errors import UserError
from minvae_pyro.utterances import Utterances, concatenate


class Corpus(Protocol):
    """Utterances by number.

    Attributes:
        stft: the transform that its power comes from.
        lengths: frames of every utterance.
    """

    stft: STFT
    lengths: list[int]

    def load(self, row: int, start: int = 0, stop: int | None = None) -> Utterances:
        """Frames ``start`` to ``stop`` of one utterance; its ``index`` is ``row``."""
        ...

    def load_power(self, row: int, start: int, stop: int) -> Tensor:
        """Power (frames, F) alone."""
        ...


class Transform(Protocol):
    """Changes a batch for training. Whatever is called like this will do; what derives from it has a short name."""

    def __call__(self, utterances: Utterances, generator: torch.Generator, corpus: Corpus) -> Utterances:
        """Change a batch.

        Args:
            utterances: the batch.
            generator: where random numbers come from.
            corpus: other clips may be taken from it.
        """
        ...


class PreparedCorpus(Corpus):
    """The clips of one or several prepared folders, read when asked for.

    Args:
        folders: made by ``minvae prepare``, all with the same transform.
        mouth: read the mouth too; models of sound alone need not wait for it.

    Raises:
        UserError: a folder is missing or not prepared, or two have different transforms.
    """

    def __init__(self, folders: Sequence[str | Path], mouth: bool = True) -> None:
        if not folders:
            raise UserError("no prepared folder is given: name at least one.")
        transforms = [read_stft(Path(folder)) for folder in folders]
        for folder, stft in zip(folders, transforms, strict=True):
            if stft_settings(stft) != stft_settings(transforms[0]):
                raise UserError(
                    f"{folder} was prepared with {stft_settings(stft)}, {folders[0]} with "
                    f"{stft_settings(transforms[0])}: prepare them alike."
                )
        self.stft = transforms[0]
        self.mouth = mouth
        self.clips: list[tuple[Path, Entry]] = [
            (Path(folder) / entry.file, entry) for folder in folders for entry in read_manifest(Path(folder))
        ]
        self.lengths = [entry.frames for _, entry in self.clips]

    def load(self, row: int, start: int = 0, stop: int | None = None) -> Utterances:
        """Read frames ``start`` to ``stop`` of clip ``row``, and nothing else of its file.

        Raises:
            UserError: the features are missing or damaged.
        """
        both = self.mouth and self.clips[row][1].has_mouth
        names = ["power", "mouth", "mouth_seen"] if both else ["power"]
        tensors = self._read(row, names, start, stop)
        return Utterances.from_spectrum(*tensors).replace(index=torch.tensor([row]))

    def load_power(self, row: int, start: int, stop: int) -> Tensor:
        """Power (frames, F) alone, (N, F)."""
        return self._read(row, ["power"], start, stop)[0]

    def _read(self, row: int, names: Sequence[str], start: int, stop: int | None) -> list[Tensor]:
        path = self.clips[row][0]
        try:
            with safe_open(path, framework="pt") as features:
                return [features.get_slice(name)[start:stop] for name in names]
        except (OSError, SafetensorError) as error:
            raise UserError(f"{path} is missing or damaged: remove it and run `minvae prepare` again.") from error


class MemoryCorpus(Corpus):
    """Utterances that are in memory already.

    Args:
        utterances: each a batch of one, all of one transform.
        stft: that transform.
    """

    def __init__(self, utterances: Sequence[Utterances], stft: STFT) -> None:
        self.stft = stft
        self.utterances = list(utterances)
        self.lengths = [utterance.frames for utterance in self.utterances]

    def load(self, row: int, start: int = 0, stop: int | None = None) -> Utterances:
        """Frames ``start`` to ``stop`` of utterance ``row``."""
        whole = self.utterances[row]
        return Utterances(
            spectrum=whole.spectrum[:, start:stop],
            heard=whole.heard[:, start:stop],
            mouth=whole.mouth[:, start:stop],
            mouth_seen=whole.mouth_seen[:, start:stop],
            mask=whole.mask[:, start:stop],
            index=torch.tensor([row]),
        )

    def load_power(self, row: int, start: int, stop: int) -> Tensor:
        """Power (frames, F) alone."""
        return self.utterances[row].power[0, start:stop]


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


class CorpusData(LightningDataModule):
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
        super().__init__()
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

    def train_dataloader(self) -> DataLoader[Utterances]:
        """Batches of the current epoch."""
        transforms = [t for t in (self.noise, self.augmentation) if t is not None]
        return self._loader(self.train, transforms, shuffle=True)

    def val_dataloader(self) -> DataLoader[Utterances]:
        """The same batches in every epoch."""
        transforms = [] if self.noise is None else [self.noise]
        return self._loader(self.validation, transforms, shuffle=False)

    def _loader(self, corpus: Corpus, transforms: Sequence[Transform], shuffle: bool) -> DataLoader[Utterances]:
        crop = self.crop_frames if shuffle else None
        order = BatchOrder(corpus.lengths, self.batch_size, crop, shuffle, self.seed if shuffle else 0)
        if self.trainer is not None:
            # Lightning sets the epoch only after the first batches of a continued run have been drawn
            order.set_epoch(self.trainer.fit_loop.epoch_progress.current.processed)  # type: ignore[attr-defined]
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
