import pytest
import torch
from hypothesis import given, strategies as st

from minvae_pyro.audio.overlap_add import OverlapAdd, StreamingSTFT, split
from minvae_pyro.audio.stft import STFT


@given(total=st.integers(1, 3000), longest=st.integers(12, 400), data=st.data())
def test_windows_cover_the_recording_and_overlap_as_asked(total: int, longest: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(2, longest // 3))
    windows = split(total, longest, overlap)
    assert windows.starts[0] == 0
    assert windows.starts[-1] + windows.length == total
    assert windows.length <= longest
    steps = torch.tensor(windows.starts).diff()
    assert (windows.length - steps >= overlap - 1).all()
    # only neighbours meet, so that two ramps never lie on one another
    assert (steps[1:] + steps[:-1] >= windows.length).all()


@given(total=st.integers(1, 600), longest=st.integers(12, 90), data=st.data())
def test_weights_sum_to_one_everywhere(total: int, longest: int, data: st.DataObject) -> None:
    windows = split(total, longest, data.draw(st.integers(2, longest // 3)))
    positions = torch.linspace(0, total, 4 * total + 1, dtype=torch.float64)
    whole = torch.zeros_like(positions)
    for window, start in enumerate(windows.starts):
        inside = (positions >= start) & (positions <= start + windows.length)
        weight = windows.weight(window, positions[inside])
        assert ((weight >= 0) & (weight <= 1)).all()
        whole[inside] += weight
    torch.testing.assert_close(whole, torch.ones_like(whole))


def test_a_short_recording_is_one_window() -> None:
    windows = split(7, 20, 4)
    assert windows.starts == (0,)
    assert windows.length == 7
    assert windows.weight(0, torch.arange(8.0)).eq(1).all()


def test_estimates_that_agree_pass_through_the_fade() -> None:
    signal = torch.randn(2, 100 * 7, generator=torch.Generator().manual_seed(0))
    windows, whole = split(100, 40, 10), torch.zeros(2, 100 * 7)
    for window in range(len(windows)):
        windows.add(whole, window, windows.of(signal, window, 7), 7)
    torch.testing.assert_close(whole, signal)


@pytest.mark.parametrize("hop", [256, 533, 768])
@given(lengths=st.lists(st.integers(0, 3000), min_size=1, max_size=8), seed=st.integers(0, 99))
def test_a_stream_has_the_frames_of_the_whole_and_gives_its_samples(hop: int, lengths: list[int], seed: int) -> None:
    stft = STFT(hop=hop)
    sound = torch.randn(sum(lengths) + 1, generator=torch.Generator().manual_seed(seed))
    whole = stft(sound)
    # an estimate is no STFT of any signal: every frame has a gain of its own
    filtered = whole * torch.rand(len(whole), 1, generator=torch.Generator().manual_seed(seed))
    arriving, leaving, samples = StreamingSTFT(stft), OverlapAdd(stft), [torch.zeros(0)]
    for block in sound.split([*lengths, 1]):
        begin, spectrum = leaving.frames, arriving.push(block)
        end = begin + len(spectrum)
        torch.testing.assert_close(spectrum, whole[begin:end], rtol=0, atol=1e-4)
        # neither a frame too early nor one too late
        assert end == 0 or (end - 1) * hop + stft.n_fft // 2 <= arriving.samples
        assert arriving.samples < end * hop + stft.n_fft // 2
        samples.append(leaving.push(filtered[begin:end]))
        assert sum(map(len, samples)) == max(0, end * hop - leaving.delay)
    samples.append(leaving.push(filtered[leaving.frames :], len(sound)))
    torch.testing.assert_close(torch.cat(samples), stft.inverse(filtered, len(sound)), rtol=0, atol=1e-5)
    assert arriving.samples == len(sound)
