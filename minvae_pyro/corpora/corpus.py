"""Corpora of utterances, and batches of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from minvae_pyro.audio.observed import observed_cells
from minvae_pyro.audio.stft import STFT, stft_settings
from minvae_pyro.corpora.manifest import Entry, read_manifest, read_stft
from minvae_pyro.corpora.structural import Structural, lacking
from minvae_pyro.errors import UserError
from minvae_pyro.utterances import Utterances


class Corpus(Structural):
    """Utterances by number. Whatever has these methods will do; what derives from it has a short name.

    Attributes:
        stft: the STFT that its power comes from.
        lengths: frames of every utterance.
    """

    stft: STFT
    lengths: list[int]

    @abstractmethod
    def load(self, row: int, start: int = 0, stop: int | None = None) -> Utterances:
        """Frames ``start`` to ``stop`` of one utterance; its ``index`` is ``row``."""

    def load_power(self, row: int, start: int, stop: int) -> Tensor:
        """Power of frames ``start`` to ``stop`` alone, (stop - start, F)."""
        return self.load(row, start, stop).power[0]

    @classmethod
    def lacks(cls, found: Any) -> str:
        """As of every structural base; whoever does not derive from this one inherits no :meth:`load_power`."""
        return lacking(cls, ("load", "load_power"), found)


class Transform(Structural):
    """Changes a batch for training. Any callable with this signature will do; a subclass also has a short name."""

    @abstractmethod
    def __call__(self, utterances: Utterances, generator: torch.Generator, corpus: Corpus) -> Utterances:
        """Change a batch of ``corpus``, from which other clips may be taken."""


def common_stft(stfts: Mapping[str, STFT]) -> STFT:
    """The one STFT of several sources, given by their names.

    Raises:
        UserError: two differ.
    """
    (first, expected), *others = ((name, stft_settings(stft)) for name, stft in stfts.items())
    for name, found in others:
        if found != expected:
            raise UserError(f"{first} and {name} have different STFTs, {expected} and {found}: prepare them alike.")
    return stfts[first]


class PreparedCorpus(Corpus):
    """The clips of one or several folders made by ``minvae prepare`` with the same STFT, read on demand.

    Without ``mouth`` only the sound is read, which is all that audio-only models need.

    Raises:
        UserError: a folder is missing or not prepared, or two have different STFTs.
    """

    def __init__(self, folders: Sequence[str | Path], mouth: bool = True) -> None:
        if not folders:
            raise UserError("no prepared folder is given: name at least one.")
        self.stft = common_stft({str(folder): read_stft(Path(folder)) for folder in folders})
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
        mouth = ("mouth", "mouth_seen") if self.mouth and self.clips[row][1].has_mouth else ()
        band, power, *pictures = self._read(row, ("band", "power", *mouth), start, stop)
        shown, seen = pictures or (None, None)
        observed = observed_cells(power, self.stft.cell_power, band)
        return Utterances.from_spectrum(power, shown, seen, observed).replace(index=torch.tensor([row]))

    def load_power(self, row: int, start: int, stop: int) -> Tensor:
        """Power of frames ``start`` to ``stop``; the mouth is not read."""
        return self._read(row, ("power",), start, stop)[0]

    def _read(self, row: int, names: Sequence[str], start: int, stop: int | None) -> list[Tensor]:
        path = self.clips[row][0]
        try:
            with safe_open(path, framework="pt") as features:
                return [
                    features.get_tensor(name) if name == "band" else features.get_slice(name)[start:stop]
                    for name in names
                ]
        except (OSError, SafetensorError) as error:
            raise UserError(f"{path} is missing or damaged: remove it and run `minvae prepare` again.") from error


class MemoryCorpus(Corpus):
    """Utterances in memory, each a batch of one, all of one STFT."""

    def __init__(self, utterances: Sequence[Utterances], stft: STFT) -> None:
        self.stft = stft
        self.utterances = list(utterances)
        self.lengths = [utterance.frames for utterance in self.utterances]

    def load(self, row: int, start: int = 0, stop: int | None = None) -> Utterances:
        """Frames ``start`` to ``stop`` of utterance ``row``."""
        whole = self.utterances[row]
        cut = {name: tensor[:, start:stop] for name, tensor in whole.tensors().items() if name != "index"}
        return Utterances(**cut, index=torch.tensor([row]))
