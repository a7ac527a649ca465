"""Fixed test mixtures from a table, and tables of scores on them."""

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import joblib  # type: ignore[import-untyped]
import pandas as pd
import torch
from torch import Tensor

from minvae_pyro.audio.files import read_sound
from minvae_pyro.audio.mixing import mix_at_snr
from minvae_pyro.errors import UserError
from minvae_pyro.evaluation.scores import METRICS, Scores, scores

_COLUMNS = ("id", "clip", "noise", "noise_offset_samples", "snr_db")
_SPLITS = {"train", "validation", "test"}


@dataclasses.dataclass(frozen=True)
class Mixture:
    """One line of a table of mixtures: what is mixed with what.

    Attributes:
        id: name of the mixture, unique in its table.
        clip: clean recording, with its video if it has one.
        noise: noise recording.
        noise_offset_samples: where the noise starts, at ``sample_rate``.
        snr_db: signal-to-noise ratio over the whole clip.
        sample_rate: in Hz, of the mixture.
    """

    id: str
    clip: Path
    noise: Path
    noise_offset_samples: int
    snr_db: float
    sample_rate: int = 16000

    @property
    def talker(self) -> str:
        """Name of the folder that holds the clip; of the one above where that is named after a split."""
        folder = self.clip.parent
        return folder.parent.name if folder.name in _SPLITS else folder.name

    def build(self) -> tuple[Tensor, Tensor]:
        """The mixture and the clean sound in it, (samples,) each, mono.

        Raises:
            UserError: a recording cannot be read or is silent.
        """
        clean, noise = (read_sound(path).resample(self.sample_rate).mono() for path in (self.clip, self.noise))
        try:
            return mix_at_snr(clean, noise, self.snr_db, self.noise_offset_samples)
        except ValueError as error:
            raise UserError(f"Cannot mix {self.clip} with {self.noise} (mixture {self.id}): {error}") from error


def read_mixtures(path: str | os.PathLike[str]) -> list[Mixture]:
    """Read a table of mixtures.

    Args:
        path: CSV file with the columns id, clip, noise, noise_offset_samples, snr_db. Clip and noise are
            paths relative to its folder.

    Raises:
        UserError: missing file, column or recording, an entry that is no number, or an id that occurs twice.
    """
    path = Path(path)
    try:
        table = pd.read_csv(path, dtype={"id": str, "clip": str, "noise": str})
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist: give a table of mixtures (CSV).") from error
    except (OSError, ValueError) as error:
        raise UserError(f"Cannot read the table of mixtures {path}: {str(error).splitlines()[0]}") from error
    missing = [column for column in _COLUMNS if column not in table]
    if missing:
        raise UserError(f"{path} lacks the columns {', '.join(missing)}: it needs {', '.join(_COLUMNS)}.")
    if table["id"].duplicated().any():
        raise UserError(f"{path} has the id {table['id'][table['id'].duplicated()].iloc[0]} twice: ids are unique.")
    return [_mixture(path, line, row) for line, row in enumerate(table.to_dict("records"), start=2)]


def _mixture(path: Path, line: int, row: dict[Any, Any]) -> Mixture:
    try:
        clip, noise = path.parent / row["clip"], path.parent / row["noise"]
        mixture = Mixture(row["id"], clip, noise, int(row["noise_offset_samples"]), float(row["snr_db"]))
        if not math.isfinite(mixture.snr_db):
            raise ValueError("no ratio")
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}, line {line}: an entry is missing or is no number.") from error
    for recording in (clip, noise):
        if not recording.is_file():
            raise UserError(f"{path}, line {line}: {recording} does not exist.")
    return mixture


def score_mixtures(
    mixtures: Sequence[Mixture], estimates: Mapping[str, Sequence[Tensor]], workers: int = 1
) -> pd.DataFrame:
    """Score systems on mixtures.

    Args:
        mixtures: M mixtures.
        estimates: for each system its M estimates, (samples,) each, in the order of ``mixtures``.
        workers: processes that score; the result does not depend on their number.

    Returns:
        One row per system and mixture: system, id, talker, noise, snr_db; for each metric of ``METRICS`` the
        columns ``<metric>_input`` (the mixture), ``<metric>`` (the estimate) and ``<metric>_gain`` (their
        difference); and ``note``, which says why a score is NaN.

    Raises:
        UserError: not as many estimates as mixtures, or not as long as their mixtures.
    """
    for system, sounds in estimates.items():
        if len(sounds) != len(mixtures):
            raise UserError(f"{system} has {len(sounds)} estimates for {len(mixtures)} mixtures: give one for each.")
    built = [mixture.build() for mixture in mixtures]
    jobs = [(clean, noisy, mixture) for (noisy, clean), mixture in zip(built, mixtures, strict=True)]
    for sounds in estimates.values():
        jobs += [(built[i][1], sound.detach().cpu(), mixtures[i]) for i, sound in enumerate(sounds)]
    results = joblib.Parallel(n_jobs=workers)(joblib.delayed(_score)(*job) for job in jobs)
    before = results[: len(mixtures)]
    rows = []
    for number, system in enumerate(estimates, start=1):
        after = results[number * len(mixtures) : (number + 1) * len(mixtures)]
        rows += [{"system": system, **_row(*entry)} for entry in zip(mixtures, before, after, strict=True)]
    return pd.DataFrame(rows)


def _score(clean: Tensor, estimate: Tensor, mixture: Mixture) -> Scores:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the last digit of a sum depends on how many threads share it
    try:
        return scores(clean, estimate, mixture.sample_rate)
    except UserError as error:
        raise UserError(f"Mixture {mixture.id}: {error}") from error
    finally:
        torch.set_num_threads(threads)


def _row(mixture: Mixture, before: Scores, after: Scores) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": mixture.id,
        "talker": mixture.talker,
        "noise": mixture.noise.stem,
        "snr_db": mixture.snr_db,
    }
    for metric in METRICS:
        row[f"{metric}_input"] = before[metric]  # type: ignore[literal-required]
        row[metric] = after[metric]  # type: ignore[literal-required]
        row[f"{metric}_gain"] = row[metric] - row[f"{metric}_input"]
    notes = {"input": before["note"], "estimate": after["note"]}
    row["note"] = "; ".join(f"{which}: {note}" for which, note in notes.items() if note)
    return row
