import math

import pytest
import torch
from hypothesis import given, strategies as st

from minvae_pyro.audio.files import read_sound
from minvae_pyro.audio.stft import STFT

HOPS = [256, 533]


@given(
    samples=st.integers(1, 4000),
    hop=st.sampled_from(HOPS),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    batch=st.sampled_from([(), (2,), (2, 3)]),
)
def test_inverse_restores_any_length(samples, hop, dtype, batch):
    stft = STFT(hop=hop)
    waveform = torch.rand(*batch, samples, dtype=dtype) * 2 - 1
    spectrum = stft(waveform)
    assert spectrum.shape == (*batch, math.ceil(samples / hop) + 1, 513)
    assert spectrum.real.dtype == dtype
    restored = stft.inverse(spectrum, samples)
    assert restored.dtype == dtype
    assert restored.shape == waveform.shape
    assert (restored - waveform).abs().max() < (1e-5 if dtype == torch.float32 else 1e-12)


@pytest.mark.parametrize("hop", HOPS)
def test_frames_equal_a_windowed_fft_written_out(hop):
    """Frame n sees samples n*hop-512 .. n*hop+511 under a sine, zeros beyond the ends."""
    torch.manual_seed(1)
    waveform = torch.randn(3000, dtype=torch.float64)
    stft = STFT(hop=hop)
    window = torch.sin(math.pi * (torch.arange(1024, dtype=torch.float64) + 0.5) / 1024)
    padded = torch.cat([torch.zeros(512), waveform, torch.zeros(2048)]).double()
    expected = [torch.fft.rfft(window * padded[n * hop : n * hop + 1024]) for n in range(stft.frames(3000))]
    torch.testing.assert_close(stft(waveform), torch.stack(expected), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("hop", [256, 533, 768])
@pytest.mark.parametrize("shape", [(1,), (5000,), (2, 3, 3000)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_equals_torchaudio_to_the_bit(hop, shape, dtype):
    try:
        from torchaudio.functional import inverse_spectrogram, spectrogram
    except (ImportError, OSError) as missing:  # it loads beside a torch of its own kind only
        pytest.skip(f"torchaudio cannot be loaded: {missing}")
    torch.manual_seed(2)
    stft, waveform, samples = STFT(hop=hop), torch.randn(shape, dtype=dtype), shape[-1]
    covered = (stft.frames(samples) - 1) * hop
    sizes = {"n_fft": 1024, "hop_length": hop, "win_length": 1024}
    settings = {"pad": 0, "window": stft.window.to(dtype), "normalized": False, **sizes}
    padded = torch.nn.functional.pad(waveform, (0, covered - samples))
    found = stft(waveform)
    assert torch.equal(found, spectrogram(padded, power=None, pad_mode="constant", **settings).mT)
    changed = found * torch.rand(found.shape)
    back = inverse_spectrogram(changed.mT, length=covered, **settings)[..., :samples]
    assert torch.equal(stft.inverse(changed, samples), back)


@pytest.mark.parametrize("hop", HOPS)
def test_frame_times_point_at_a_click(hop):
    stft = STFT(hop=hop, sample_rate=16000)
    click = 7
    waveform = torch.zeros(16000)
    waveform[click * hop] = 1.0
    power = stft(waveform).abs().square().sum(-1)
    assert power.argmax() == click
    assert stft.frame_times(len(power))[click] == pytest.approx(click * hop / 16000, abs=1e-12)


def test_a_sine_peaks_in_its_bin():
    stft = STFT()
    waveform = torch.sin(2 * math.pi * 1000 * torch.arange(16000) / 16000)
    assert (stft(waveform).abs()[3:-3].argmax(-1) == 1000 * 1024 // 16000).all()


def test_gradients_pass_through():
    stft = STFT()
    waveform = torch.randn(2000, dtype=torch.float64, requires_grad=True)
    stft.inverse(stft(waveform), 2000).sum().backward()
    assert waveform.grad is not None
    torch.testing.assert_close(waveform.grad, torch.ones_like(waveform.grad))


def test_it_holds_no_state_that_a_checkpoint_would_carry():
    assert STFT().state_dict() == {}


@pytest.mark.parametrize("hop", [0, 769])
def test_a_hop_that_leaves_gaps_is_refused(hop):
    with pytest.raises(ValueError, match="hop must lie"):
        STFT(hop=hop)


def test_no_samples_is_refused():
    with pytest.raises(ValueError, match="without samples"):
        STFT()(torch.zeros(0))


def test_frames_that_do_not_fit_the_length_are_refused():
    stft = STFT(hop=256)
    with pytest.raises(ValueError, match="5 frames, not 6"):
        stft.inverse(torch.zeros(6, 513, dtype=torch.complex64), 1024)


def test_real_speech_is_restored(real_data):
    speech = read_sound(next((real_data / "librispeech").glob("*.flac"))).mono()
    for hop in HOPS:
        stft = STFT(hop=hop)
        assert (stft.inverse(stft(speech), len(speech)) - speech).abs().max() < 1e-5
