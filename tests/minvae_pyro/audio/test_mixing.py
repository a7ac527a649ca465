import pytest
import torch
from hypothesis import given, strategies as st

from minvae_pyro.audio.mixing import mix_at_snr


def measured_snr(clean, noise):
    return 10 * torch.log10(clean.double().square().sum(-1) / noise.double().square().sum(-1))


@given(
    snr=st.floats(-30, 30),
    samples=st.integers(1, 500),
    noise_samples=st.integers(1, 700),
    offset=st.integers(0, 2000),
    loudness=st.sampled_from([1e-3, 1.0, 30.0]),
)
def test_ratio_holds_and_nothing_clips(snr, samples, noise_samples, offset, loudness):
    clean = torch.randn(samples, dtype=torch.float64) * loudness
    noise = torch.randn(noise_samples, dtype=torch.float64)
    mixture, scaled = mix_at_snr(clean, noise, snr, offset)
    assert measured_snr(scaled, mixture - scaled) == pytest.approx(snr, abs=1e-6)
    assert mixture.abs().max() <= 1 + 1e-12
    # The clean sound changes by one positive factor, and only when the peak passed 1.
    factor = scaled[0] / clean[0]
    torch.testing.assert_close(scaled, clean * factor)
    assert factor == pytest.approx(1.0) or mixture.abs().max() == pytest.approx(1.0)
    assert 0 < factor <= 1 + 1e-12


def test_noise_starts_at_the_offset_and_begins_again():
    clean = torch.full((6,), 0.1)
    noise = torch.tensor([1.0, 2.0, 3.0, 4.0])
    mixture, scaled = mix_at_snr(clean, noise, 0.0, offset=2)
    shape = (mixture - scaled) / (mixture - scaled)[2]
    torch.testing.assert_close(shape, torch.tensor([3.0, 4.0, 1.0, 2.0, 3.0, 4.0]))


def test_a_batch_equals_its_rows():
    clean, noise = torch.randn(3, 400), torch.randn(3, 250)
    ratios = torch.tensor([-5.0, 0.0, 20.0])
    mixtures, cleans = mix_at_snr(clean, noise, ratios, offset=100)
    assert mixtures.dtype == torch.float32
    for row in range(3):
        mixture, scaled = mix_at_snr(clean[row], noise[row], float(ratios[row]), offset=100)
        torch.testing.assert_close(mixtures[row], mixture)
        torch.testing.assert_close(cleans[row], scaled)


@pytest.mark.parametrize("silent", ["clean", "noise"])
def test_silence_has_no_ratio(silent):
    sounds = {"clean": torch.randn(10), "noise": torch.randn(10), silent: torch.zeros(10)}
    with pytest.raises(ValueError, match="silence"):
        mix_at_snr(sounds["clean"], sounds["noise"], 0.0)


def test_noise_that_is_silent_just_there_is_refused():
    with pytest.raises(ValueError, match="silence"):
        mix_at_snr(torch.ones(3), torch.tensor([0.0, 0.0, 0.0, 1.0]), 0.0)


def test_nothing_to_mix_is_refused():
    with pytest.raises(ValueError, match="at least one sample"):
        mix_at_snr(torch.ones(3), torch.zeros(0), 0.0)
