"""A report on one enhancement: the figure, and the contact sheet of the pictures that the model used."""

from __future__ import annotations

from pathlib import Path

from minvae_pyro.enhancement.enhance import Enhancement
from minvae_pyro.files import make_folder
from minvae_pyro.plots import enhancement_figure, save_figure
from minvae_pyro.plots.scales import Scale
from minvae_pyro.video.sheet import contact_sheet


def write_report(
    result: Enhancement,
    folder: str | Path,
    *,
    scale: Scale = "linear",
    pitch: bool = False,
    overwrite: bool = False,
) -> list[Path]:
    """Write ``figure.png``, and ``contact-sheet.png`` where there was a video, into a folder, and return the files.

    Args:
        result: what is reported on.
        folder: made if need be.
        scale: of the frequencies in the figure, see :func:`minvae_pyro.plots.spectrogram_figure`.
        pitch: whether the pitch of the voice is drawn over the spectrograms.
        overwrite: replace files that exist.

    Raises:
        UserError: a file exists and is to be kept, the folder cannot be written to, or librosa is needed and cannot be
            loaded.
    """
    folder = Path(folder)
    make_folder(folder)
    figure = enhancement_figure(
        (result.speech + result.noise).mean(0),
        result.speech.mean(0),
        sample_rate=result.sample_rate,
        audio_responsibility=result.audio_responsibility,
        frame_times=result.frame_times,
        mouth=result.mouth,
        objective=result.objective or None,
        draws=None if result.draws is None else result.draws.mean(1),
        highest=result.highest,
        scale=scale,
        pitch=pitch,
    )
    written = [save_figure(figure, folder / "figure.png", overwrite=overwrite)]
    if result.mouth is not None:
        written.append(contact_sheet(result.mouth, folder / "contact-sheet.png", overwrite=overwrite))
    return written
