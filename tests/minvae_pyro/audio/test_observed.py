"""Cells that say nothing: filters and gates made by others must be found, sounds as they are must not."""

from collections.abc import Callable

import numpy as np
import pytest
import scipy.signal
import soxr
import torch
from hypothesis import given, strategies as st

from minvae_pyro.audio.level import sounding_level
from minvae_pyro.audio.observed import audible_band, observed_cells
from minvae_pyro.audio.stft import STFT
from minvae_pyro.synthetic.talker import speak

PER_CELL = 512.0  # the sum of a squared sine window of 1024
BIN = 16000 / 1024  # Hz


def power_of(sound: np.ndarray, hop: int = 256) -> torch.Tensor:
    waveform = torch.from_numpy(np.array(sound, dtype=np.float32))
    return STFT(hop=hop)(waveform / sounding_level(waveform)).abs().square()


def coloured(seed: int, slope: float = 1.0) -> np.ndarray:
    """Two seconds of noise whose power falls as frequency to the power of ``slope``."""
    generator = np.random.default_rng(seed)
    spectrum = np.fft.rfft(generator.standard_normal(32000))
    spectrum /= np.maximum(np.arange(len(spectrum)), 40) ** (slope / 2)
    return np.fft.irfft(spectrum)


def cut(sound: np.ndarray, hertz: float) -> np.ndarray:
    return np.asarray(scipy.signal.sosfiltfilt(scipy.signal.ellip(8, 0.1, 60, hertz, fs=16000, output="sos"), sound))


@given(seed=st.integers(0, 50), slope=st.floats(0, 2.5), hop=st.sampled_from([256, 533]))
def test_sounds_of_any_colour_are_observed_whole(seed: int, slope: float, hop: int) -> None:
    # the centre of the last frame may lie so far beyond the end that its window holds nothing
    observed = observed_cells(power_of(coloured(seed, slope), hop)[:-1], PER_CELL)
    assert observed is None or observed.float().mean() > 0.998


def test_a_voice_is_observed_whole() -> None:
    voice = speak(3.0, 4) + 1e-4 * torch.randn(48000, generator=torch.Generator().manual_seed(0))
    assert audible_band(power_of(voice.numpy()), PER_CELL).all()


@given(seed=st.integers(0, 20), slope=st.floats(0, 2), hertz=st.sampled_from([2800, 3400, 4000, 5500, 7000]))
def test_what_a_filter_cut_off_is_found(seed: int, slope: float, hertz: int) -> None:
    band = audible_band(power_of(cut(coloured(seed, slope), hertz)), PER_CELL)
    limit = hertz / BIN
    assert band[: int(limit) - 40].all()
    assert not band[int(limit) + 16 :].any()


@pytest.mark.parametrize("rate", [6000, 8000, 11025, 12000])
@pytest.mark.parametrize("bits", [8, 16, None])
def test_what_a_lower_sample_rate_cut_off_is_found(rate: int, bits: int | None) -> None:
    low = soxr.resample(coloured(1), 16000, rate)
    back = soxr.resample(low, rate, 16000)
    if bits is not None:
        step = np.abs(back).max() / 2 ** (bits - 1)
        back = np.round(back / step) * step
    band = audible_band(power_of(back), PER_CELL)
    limit = int(rate / 2 / BIN)
    assert band[: limit - 40].all()
    assert not band[limit + 8 :].any()


@pytest.mark.parametrize("milliseconds", [10, 100, 500, 20_000])
@pytest.mark.parametrize("gate", [0.0, 1e-5])
def test_a_gate_is_found_and_the_rest_stays(milliseconds: int, gate: float) -> None:
    sound = coloured(2)
    closed = gate * np.resize(coloured(3), 16 * milliseconds)
    power = power_of(np.concatenate([closed, sound]))
    observed = observed_cells(power, PER_CELL)
    inside = int(16 * milliseconds / 256 - 512 / 256)  # frames whose whole window lies in the gate
    if inside > 0:
        assert observed is not None
        assert observed[:inside].float().mean() < 0.01
        assert observed[inside + 4 :].all()
    elif observed is not None:
        assert observed[4:].all()


def test_a_notch_is_found() -> None:
    sound = coloured(4)
    spectrum = np.fft.rfft(sound)
    frequency = np.fft.rfftfreq(len(sound), 1 / 16000)
    spectrum[np.abs(frequency - 3000) < 60] *= 1e-4
    band = audible_band(power_of(np.fft.irfft(spectrum)), PER_CELL)
    middle = round(3000 / BIN)
    assert not band[middle - 1 : middle + 2].any()
    assert band[: middle - 12].all()
    assert band[middle + 12 :].all()


def test_silence_and_short_sounds_pass() -> None:
    assert audible_band(torch.zeros(5, 513), PER_CELL).all()
    assert observed_cells(torch.ones(1, 513), PER_CELL) is None
    assert audible_band(torch.ones(4, 6), PER_CELL).all()


def steady(decibels: torch.Tensor, frames: int = 100) -> torch.Tensor:
    """Power of a sound that stays, from its level (F,) against white sound of unit level."""
    return PER_CELL * (10 ** (decibels.double() / 10)).expand(frames, -1).clone()


def falling(edge: int, depth: float, bins: int = 513) -> torch.Tensor:
    return torch.where(torch.arange(bins) < edge, 0.0, -depth)


def found_edge(band: torch.Tensor) -> int:
    """The first bin that is cut off, of a band that ends once."""
    edge = int(band.sum())
    assert band[:edge].all()
    return edge


@pytest.mark.parametrize("edge", [130, 200, 333, 480, 500, 509, 511])
def test_a_cliff_of_18_decibels_ends_the_band_and_a_smaller_one_does_not(edge: int) -> None:
    deep, flat = (audible_band(steady(falling(edge, depth)), PER_CELL) for depth in (18.01, 17.99))
    assert edge - 24 <= found_edge(deep) <= edge
    assert flat.all()
    # nothing at all above it
    silent = steady(falling(edge, 0.0))
    silent[:, edge:] = 0
    assert edge - 24 <= found_edge(audible_band(silent, PER_CELL)) <= edge


@pytest.mark.parametrize("edge", [150, 300, 450])
def test_a_slope_begins_where_the_level_was_last_as_before(edge: int) -> None:
    # 60 dB within 48 bins: the fall is seen when it has begun already
    level = -60 / 48 * (torch.arange(513) - edge).clamp(0, 48)
    found = found_edge(audible_band(steady(level), PER_CELL))
    assert edge - 16 <= found <= edge + 5
    # a dip before the cliff belongs to the fall
    dipped = falling(edge, 40.0)
    dipped[edge - 40 : edge] = -10.0
    assert edge - 41 <= found_edge(audible_band(steady(dipped), PER_CELL)) <= edge - 39


def test_dull_sounds_and_few_bins_are_not_cut_off() -> None:
    assert audible_band(steady(falling(80, 60.0)), PER_CELL).all()  # below 1.5 kHz
    assert audible_band(steady(falling(150, 60.0, 191)), PER_CELL).all()
    assert not audible_band(steady(falling(150, 60.0, 192)), PER_CELL).all()
    # a band that comes back ends nothing, and is too wide for a notch
    back = falling(300, 40.0)
    back[-20:] = -17.0
    assert audible_band(steady(back), PER_CELL)[330:460].all()


@pytest.mark.parametrize(
    ("middle", "depth", "width", "found"),
    [
        (100, 20.01, 1, True),
        (100, 19.99, 1, False),
        (100, 40.0, 15, True),
        (20, 40.0, 1, True),
        (19, 40.0, 1, False),
        (400, 40.0, 17, False),
        (505, 40.0, 1, True),
    ],
)
def test_a_notch_lies_20_decibels_below_what_surrounds_it(middle: int, depth: float, width: int, found: bool) -> None:
    level = torch.zeros(513)
    place = slice(middle - width // 2, middle + width // 2 + 1)
    level[place] = -depth
    expected = torch.ones(513, dtype=torch.bool)
    if found:
        expected[place] = False
    assert audible_band(steady(level), PER_CELL).equal(expected)


@pytest.mark.parametrize("loudness", [-30.0, 0.0, 30.0])
def test_the_last_bin_is_surrounded_by_those_before_it(loudness: float) -> None:
    level = torch.full((513,), loudness)
    level[-1] -= 25.0
    assert audible_band(steady(level), PER_CELL).nonzero().flatten().tolist() == list(range(512))


@pytest.mark.parametrize(("moments", "cut_off"), [(5, True), (6, False)])
def test_a_band_that_sounds_now_and_then_is_there(moments: int, cut_off: bool) -> None:
    power = steady(falling(300, 40.0))
    power[:moments] = PER_CELL
    pauses = torch.zeros(900, 513, dtype=power.dtype)  # of which nothing follows
    for whole in (power, torch.cat([pauses, power])):
        assert bool(audible_band(whole, PER_CELL).all()) != cut_off
    # and of one frame, that one
    assert found_edge(audible_band(power[-1:], PER_CELL)) <= 300


@pytest.mark.parametrize("per_cell", [1e-3, 1.0, 512.0])
def test_a_cell_is_empty_77_decibels_below_white_sound(per_cell: float) -> None:
    power = per_cell * torch.ones(3, 513, dtype=torch.float64)
    power[0, 5], power[1, 7] = per_cell * 10**-7.71, per_cell * 10**-7.69
    observed = observed_cells(power, per_cell)
    assert observed is not None
    assert (~observed).nonzero().tolist() == [[0, 5]]
    # where nothing sounds nothing is cut off
    assert audible_band(per_cell * 10**-7.71 * (10 ** (falling(300, 40.0) / 10)).expand(3, -1), per_cell).all()


@pytest.mark.parametrize("change", [lambda p: p, lambda p: p[:40]], ids=["whole", "part"])
def test_a_part_takes_the_band_of_the_whole(change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    power = power_of(cut(coloured(5), 3400))
    band = audible_band(power, PER_CELL)
    observed = observed_cells(change(power), PER_CELL, band)
    assert observed is not None
    assert observed.equal((change(power) > 10**-7.7 * PER_CELL) & band)
