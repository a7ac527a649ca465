from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from minvae_pyro import UserError, enhance
from minvae_pyro.enhancement.report import write_report
from minvae_pyro.synthetic.talker import SyntheticUtterance
from minvae_pyro.video.track import MouthTrack


def test_a_report_is_a_figure_and_the_mouths_that_were_found(
    tmp_path: Path, tiny_checkpoint: Path, utterance: SyntheticUtterance, known_inference: Any
) -> None:
    film = MouthTrack(utterance.crops, utterance.times, torch.ones(len(utterance.times)).bool())
    result = enhance(utterance.waveform, sample_rate=16000, video=film, checkpoint=tiny_checkpoint)
    folder = tmp_path / "new" / "report"
    written = write_report(result, folder)
    assert written == [folder / "figure.png", folder / "contact-sheet.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)
    with pytest.raises(UserError, match="exists"):
        write_report(result, folder)
    assert write_report(result, folder, overwrite=True) == written


def test_a_silent_recording_has_a_report_too(tmp_path: Path, tiny_checkpoint: Path) -> None:
    result = enhance(torch.zeros(800), sample_rate=16000, checkpoint=tiny_checkpoint)
    assert write_report(result, tmp_path) == [tmp_path / "figure.png"]


def test_a_mouth_that_was_looked_for_in_vain_is_shown_as_such(
    tmp_path: Path, tiny_checkpoint: Path, utterance: SyntheticUtterance, known_inference: Any
) -> None:
    film = MouthTrack(utterance.crops, utterance.times, torch.zeros(len(utterance.times)).bool())
    result = enhance(utterance.waveform, sample_rate=16000, video=film, checkpoint=tiny_checkpoint)
    assert len(write_report(replace(result, objective=[]), tmp_path)) == 2
