"""Corpora of utterances, and batches of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from minvae_pyro.audio.stft import STFT, stft_settings
from minvae_pyro.corpora.manifest import Entry, read_manifest, read_stft
from minvae_pyro.corpora.structural import Structural
from minvae_pyro.errors import UserError
from minvae_pyro.utterances import Utterances


class Corpus(Structural):
    """Utterances by number. Whatever has these methods will do; what derives from it has a short name.

    Attributes:
        stft: the transform that its power comes from.
        lengths: frames of every utterance.
    """

    stft: STFT
    lengths: list[int]

    @abstractmethod
    def load(self, row: int, start: int = 0, stop: int | None = None) -> Utterances:
        """Frames ``start`` to ``stop`` of one utterance; its ``index`` is ``row``."""

    @abstractmethod
    def load_power(self, row: int, start: int, stop: int) -> Tensor:
        """Power (frames, F) alone."""


class Transform(Structural):
    """Changes a batch for training. Whatever is called like this will do; what derives from it has a short name."""

    @abstractmethod
    def __call__(self, utterances: Utterances, generator: torch.Generator, corpus: Corpus) -> Utterances:
        """Change a batch.

        Args:
            utterances: the batch.
            generator: where random numbers come from.
            corpus: other clips may be taken from it.
        """


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
            noisy_power=whole.noisy_power[:, start:stop],
            mouth=whole.mouth[:, start:stop],
            mouth_seen=whole.mouth_seen[:, start:stop],
            mask=whole.mask[:, start:stop],
            index=torch.tensor([row]),
        )

    def load_power(self, row: int, start: int, stop: int) -> Tensor:
        """Power (frames, F) alone."""
        return self.utterances[row].power[0, start:stop]
