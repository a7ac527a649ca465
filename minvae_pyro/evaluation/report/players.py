"""Sounds of an experiment side by side: links, pictures and scores for players."""

from __future__ import annotations

import base64
import io
import math
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
from matplotlib.image import imsave

from minvae_pyro.audio.files import read_sound
from minvae_pyro.errors import UserError
from minvae_pyro.evaluation.jobs import sound_file
from minvae_pyro.evaluation.metrics import quantity
from minvae_pyro.evaluation.systems import CLEAN, INPUT
from minvae_pyro.plots.spectrograms import power_spectrogram

LISTENED = ("si_sdr", "pesq", "estoi", "audio_responsibility")
"""Scores beside a player."""

_COLUMNS, _ROWS = 200, 48  # of a picture
_DYNAMIC_RANGE = 60.0  # dB


def listening_rows(table: pd.DataFrame, output: Path) -> list[dict[str, Any]]:
    """The sounds of each mixture: as it is, clean, and what each system has made of it.

    Returns:
        For each mixture ``id, talker, noise, snr`` (in dB, "" where it is not known) and ``sounds``, for each of which
        ``system, link`` (relative to the folder, "" where there is no sound), ``picture`` (a spectrogram as a data URI,
        or "") and ``scores`` as text.
    """
    found = []
    for name, rows in table.groupby("id", sort=False):
        first = rows.iloc[0]
        records: dict[str, dict[Any, Any]] = {CLEAN: {}, **{row["system"]: row for row in rows.to_dict("records")}}
        sounds: list[dict[str, Any]] = []
        for system in sorted(records, key=lambda one: (one != INPUT, one != CLEAN)):
            file = sound_file(output, system, str(name))
            if file.is_file() or system != CLEAN:
                row = records[system]
                link = quote(file.relative_to(output).as_posix()) if file.is_file() else ""
                known = [metric for metric in LISTENED if not math.isnan(row.get(metric, math.nan))]
                scores = [quantity(metric).phrase(row[metric]) for metric in known]
                sounds.append({"system": system, "link": link, "scores": scores, "spectrogram": _spectrogram(file)})
        spectrograms = [sound.pop("spectrogram") for sound in sounds]
        loudest = max((float(one.max()) for one in spectrograms if one is not None), default=0.0)
        for sound, spectrogram in zip(sounds, spectrograms, strict=True):
            sound["picture"] = "" if spectrogram is None else _picture(spectrogram, loudest)
        found.append(
            {
                "id": str(name),
                "talker": str(first["talker"]),
                "noise": str(first["noise"]),
                "snr": "" if math.isnan(first["snr_db"]) else f"{first['snr_db']:g}",
                "sounds": sounds,
            }
        )
    return found


def _spectrogram(file: Path) -> np.ndarray | None:
    """Means over neighbouring frequencies, so that few rows are left; None of what cannot be read."""
    try:
        sound = read_sound(file)
    except UserError:  # the page shows what there is
        return None
    spectrogram = power_spectrogram(sound.mono(), sound.sample_rate, _COLUMNS)
    share = max(1, len(spectrogram) // _ROWS)
    rows = len(spectrogram) // share
    power = 10 ** (spectrogram[: rows * share] / 10)
    return 10 * np.log10(power.reshape(rows, share, -1).mean(axis=1))


def _picture(spectrogram: np.ndarray, loudest: float) -> str:
    """As a data URI, on the scale of the loudest sound of its mixture."""
    picture = io.BytesIO()
    imsave(
        picture,
        spectrogram,
        format="jpg",
        vmin=loudest - _DYNAMIC_RANGE,
        vmax=loudest,
        cmap="magma",
        origin="lower",
        pil_kwargs={"quality": 75},
    )
    return f"data:image/jpeg;base64,{base64.b64encode(picture.getvalue()).decode()}"
