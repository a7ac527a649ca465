"""Corpora of utterances, and batches of them."""

from __future__ import annotations

import json
import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from minvae_pyro.audio.observed import observed_cells
from minvae_pyro.audio.stft import STFT, stft_settings
from minvae_pyro.corpora.manifest import ROUNDING, Entry, read_manifest, read_stft
from minvae_pyro.corpora.structural import Structural, lacking
from minvae_pyro.errors import UserError, shown
from minvae_pyro.utterances import MOUTH_SIZE, Utterances


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
        UserError: a folder is missing, not prepared or damaged, its features come from another STFT than it says, or
            two have different STFTs.
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
        self._checked: set[int] = set()
        for path, entry in self.clips:
            check_length(entry, self.stft, path.parent.parent)
        for row in {path.parent: row for row, (path, _) in enumerate(self.clips)}.values():
            self._read(row, (), 0, 0)

    def load(self, row: int, start: int = 0, stop: int | None = None) -> Utterances:
        """Read frames ``start`` to ``stop`` of clip ``row``, and nothing else of its file.

        Raises:
            UserError: the features are missing or damaged.
        """
        mouth = ("mouth", "mouth_seen") if self.mouth and self.clips[row][1].has_mouth else ()
        band, power, *pictures = self._read(row, ("band", "power", *mouth), start, stop)
        # NaN is in no order with any number
        if power.numel() and not (power.min() >= 0 and power.max() < math.inf):
            raise UserError(f"{self.clips[row][0]} has power that is NaN, infinite or negative: {_AGAIN}")
        shown, seen = pictures or (None, None)
        observed = observed_cells(power, self.stft.cell_power, band)
        return Utterances.from_spectrum(power, shown, seen, observed).replace(index=torch.tensor([row]))

    def load_power(self, row: int, start: int, stop: int) -> Tensor:
        """Power of frames ``start`` to ``stop``; the mouth is not read."""
        return self._read(row, ("power",), start, stop)[0]

    def _read(self, row: int, names: Sequence[str], start: int, stop: int | None) -> list[Tensor]:
        path, entry = self.clips[row]
        try:
            with safe_open(path, framework="pt") as features:
                if row not in self._checked:
                    check_features(features, entry, self.stft, path)
                    self._checked.add(row)
                return [
                    features.get_tensor(name) if name == "band" else features.get_slice(name)[start:stop]
                    for name in names
                ]
        except (OSError, SafetensorError) as error:
            raise UserError(f"{path} is missing or damaged: {_AGAIN}") from error


_AGAIN = "remove it and run `minvae prepare` again."


def check_length(entry: Entry, stft: STFT, folder: Path) -> None:
    """Refuse a clip that has not as many frames as the transform makes of its length, which is rounded.

    Raises:
        UserError: the folder says that it was prepared with another transform than it was.
    """
    shortest, longest = (
        stft.frames(max(1, round((entry.seconds + rounded) * stft.sample_rate))) for rounded in (-ROUNDING, ROUNDING)
    )
    if not shortest <= entry.frames <= longest:
        raise UserError(
            f"{folder}: {shown(entry.id)} lasts {entry.seconds:g} s and has {entry.frames} frames, where the STFT of "
            f"settings.json makes {shortest}: the folder is not as it was prepared; prepare it again."
        )


def check_features(features: Any, entry: Entry, stft: STFT, path: Path) -> None:
    """Refuse features that are not what manifest and settings say; no number of theirs is read.

    Args:
        features: the file, opened by ``safetensors.safe_open``.
        entry: the clip.
        stft: that the folder says it was prepared with.
        path: the file.

    Raises:
        UserError: a tensor is missing, of another shape or type, or the features come from another STFT.
    """
    picture = (MOUTH_SIZE, MOUTH_SIZE)
    wanted: dict[str, tuple[tuple[int, ...], str]] = {
        "power": ((entry.frames, stft.frequencies), "F32"),
        "band": ((stft.frequencies,), "BOOL"),
    }
    if entry.has_mouth:
        wanted |= {"mouth": ((entry.frames, *picture), "U8"), "mouth_seen": ((entry.frames,), "BOOL")}
    try:
        made_with = json.loads((features.metadata() or {}).get("entry", "{}")).get("stft")
    except (ValueError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {_AGAIN}") from error
    if made_with not in (None, stft_settings(stft)):
        raise UserError(f"{path} was made with another STFT than settings.json says: prepare the folder again.")
    present = features.keys()
    for name, (shape, kind) in wanted.items():
        if name not in present:
            raise UserError(f"{path} lacks {name}: {_AGAIN}")
        found = features.get_slice(name)
        if (tuple(found.get_shape()), found.get_dtype()) != (shape, kind):
            raise UserError(
                f"{path} has {name} of shape {tuple(found.get_shape())} ({found.get_dtype()}), where manifest and "
                f"settings ask for {shape} ({kind}): {_AGAIN}"
            )


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
