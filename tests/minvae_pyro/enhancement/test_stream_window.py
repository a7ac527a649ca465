import pytest
import torch

from minvae_pyro import UserError
from minvae_pyro.audio.stft import STFT
from minvae_pyro.enhancement.stream_window import StreamPictures, StreamWindow
from minvae_pyro.video.track import MouthTrack


def track(*times: float) -> MouthTrack:
    return MouthTrack(
        torch.full((len(times), 67, 67), 9, dtype=torch.uint8),
        torch.tensor(times, dtype=torch.float64),
        torch.ones(len(times)).bool(),
    )


def test_a_window_has_the_last_frames_that_are_not_silent_at_unit_level() -> None:
    stft = STFT()
    loud = stft(0.01 * torch.randn(20 * stft.hop, generator=torch.Generator().manual_seed(0)))[1:-1]
    window = StreamWindow(stft, length=12)
    assert window.push(loud[:8]) == 0
    assert window.push(torch.zeros(3, 513, dtype=torch.complex64)) == 0
    assert window.numbers.tolist() == list(range(8))
    assert window.push(loud[8:14]) == 2
    assert window.frames == 17
    assert window.numbers.tolist() == [*range(2, 8), *range(11, 17)]
    power = window.spectrum.abs().square().mean(1) / stft.window.square().sum()
    assert float(power.mean().sqrt()) == pytest.approx(1, abs=0.1)


def test_pictures_count_once_they_are_taken_and_kept_while_they_may_be_asked_for() -> None:
    pictures = StreamPictures()
    assert not pictures.at(torch.zeros(1).double(), 9.0).found.any()
    pictures.push(track(*(n / 25 for n in range(50))))
    times = torch.tensor([0.5, 0.9, 1.5], dtype=torch.float64)
    aligned = pictures.at(times, 1.0)
    assert aligned.found.tolist() == [True, True, False]
    assert aligned.crops[:, 0, 0].tolist() == [9, 9, 0]
    pictures.forget(1.5)
    assert float(pictures.track.times[0]) == 1.0
    pictures.forget(9.0)
    assert len(pictures.track.times) == 0


def test_pictures_come_in_the_order_of_time() -> None:
    pictures = StreamPictures()
    pictures.push(track(0.0, 0.1))
    with pytest.raises(UserError, match="order of their times"):
        pictures.push(track(0.1))
