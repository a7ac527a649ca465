import math

import fast_bss_eval
import numpy as np
import pesq
import pystoi
import pytest
import torch
from hypothesis import given, strategies as st

from minvae_pyro.audio.files import Sound, read_sound
from minvae_pyro.audio.mixing import mix_at_snr
from minvae_pyro.errors import UserError
from minvae_pyro.evaluation.scores import METRICS, scores, si_sdr, si_sir_sar


@pytest.fixture(scope="module")
def speech(real_data):
    return read_sound(real_data / "tcd_timit" / "demo" / "clean.wav").mono()


# SI-SDR


@pytest.mark.parametrize("ratio", [-20.0, -3.0, 0.0, 7.5, 60.0])
def test_si_sdr_of_orthogonal_noise_is_the_ratio(ratio):
    """Two orthogonal tones of equal energy: the answer is known."""
    t = torch.arange(8000, dtype=torch.float64) / 8000
    clean, noise = torch.sin(2 * math.pi * 100 * t), torch.sin(2 * math.pi * 250 * t)
    estimate = 3.0 * (clean + 10 ** (-ratio / 20) * noise)
    assert si_sdr(clean, estimate) == pytest.approx(ratio, abs=1e-9)


@given(angle=st.floats(0.01, 1.5))
def test_si_sdr_is_the_cotangent_of_the_angle(angle):
    clean = torch.tensor([1.0, 0.0], dtype=torch.float64)
    estimate = torch.tensor([math.cos(angle), math.sin(angle)], dtype=torch.float64)
    assert si_sdr(clean, estimate) == pytest.approx(-20 * math.log10(math.tan(angle)), abs=1e-9)


@given(
    gain=st.floats(1e-3, 1e3),
    sign=st.sampled_from([-1, 1]),
    which=st.sampled_from(["clean", "estimate"]),
)
def test_si_sdr_ignores_scale_and_sign(gain, sign, which):
    sounds = {"clean": torch.randn(200).double(), "estimate": torch.randn(200).double()}
    before = si_sdr(**sounds)
    sounds[which] = sounds[which] * sign * gain
    assert si_sdr(**sounds) == pytest.approx(float(before), abs=1e-6)


def test_si_sdr_extremes():
    clean = torch.tensor([1.0, 2.0, -1.0, 0.0])
    orthogonal = torch.tensor([2.0, -1.0, 0.0, 5.0])
    assert si_sdr(clean, 2 * clean) == math.inf
    assert si_sdr(clean, orthogonal) == -math.inf
    assert si_sdr(clean, torch.zeros(4)).isnan()
    assert si_sdr(torch.zeros(4), clean).isnan()


def test_si_sdr_of_a_batch_equals_its_rows():
    clean, estimate = torch.randn(2, 3, 100), torch.randn(2, 3, 100)
    batch = si_sdr(clean, estimate)
    assert batch.dtype == torch.float64
    rows = [[si_sdr(clean[i, j], estimate[i, j]) for j in range(3)] for i in range(2)]
    torch.testing.assert_close(batch, torch.tensor(rows, dtype=torch.float64))


# SI-SIR and SI-SAR


@pytest.mark.parametrize(("interference", "artefacts"), [(10.0, 0.0), (-5.0, 20.0), (0.0, 3.0)])
def test_si_sir_and_si_sar_of_orthogonal_parts_are_their_ratios(interference, artefacts):
    """Three tones: one is the speech, one the noise, one is neither."""
    t = torch.arange(8000, dtype=torch.float64) / 8000
    clean, noise, other = (torch.sin(2 * math.pi * f * t) for f in (100, 250, 430))
    mixture = clean + 10 ** (-interference / 20) * noise
    estimate = mixture + mixture.norm() / other.norm() * 10 ** (-artefacts / 20) * other
    # noise that leans on the speech spans the same plane
    sir, sar = si_sir_sar(clean, noise + 0.7 * clean, -3 * estimate)
    assert sir == pytest.approx(interference, abs=1e-9)
    assert sar == pytest.approx(artefacts, abs=1e-9)


@given(seed=st.integers(0, 100), samples=st.integers(8, 400))
def test_scale_invariant_scores_agree_with_fast_bss_eval(seed, samples):
    clean, noise, estimate = torch.randn(3, samples, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    assert_agrees_with_fast_bss_eval(clean, noise, estimate)


def test_scale_invariant_scores_of_real_sounds_agree_with_fast_bss_eval(real_data, speech):
    clip = speech[: 3 * 16000]
    noise = read_sound(real_data / "noise" / "train.flac").mono()
    noisy, clean = mix_at_snr(clip, noise, 0.0, 16000)
    assert_agrees_with_fast_bss_eval(clean, noisy - clean, noisy.clamp(-0.05, 0.05))


def assert_agrees_with_fast_bss_eval(clean, noise, estimate):
    sources = np.stack([clean.double().numpy(), noise.double().numpy()])
    beside = noise + 0.3 * estimate.roll(1)  # it estimates sources in pairs
    estimates = np.stack([estimate.double().numpy(), beside.double().numpy()])
    sdr, sir, sar = fast_bss_eval.si_bss_eval_sources(sources, estimates, compute_permutation=False)
    found = (si_sdr(clean, estimate), *si_sir_sar(clean, noise, estimate))
    for ours, theirs in zip(found, (sdr[0], sir[0], sar[0]), strict=True):
        assert float(ours) == pytest.approx(theirs, abs=1e-4)


def test_a_mixture_has_interference_only():
    clean, noise = torch.randn(2, 16000)
    sir, sar = si_sir_sar(clean, noise, clean + 2 * noise)
    assert sir == pytest.approx(float(si_sdr(clean, clean + 2 * noise)), abs=1e-5)
    assert sar == math.inf or sar > 130  # the sum was rounded to single precision
    clean, noise = clean.double(), noise.double()
    assert si_sir_sar(clean, noise, clean + 2 * noise)[1] == math.inf


def test_without_noise_all_distortion_is_artefacts():
    clean, estimate = torch.randn(2, 1000).double()
    sir, sar = si_sir_sar(clean, torch.zeros(1000), estimate)
    assert sir == math.inf
    assert sar == pytest.approx(float(si_sdr(clean, estimate)), abs=1e-9)
    assert all(ratio.isnan() for ratio in si_sir_sar(torch.zeros(1000), clean, estimate)[:1])


# All scores on real speech


@pytest.mark.parametrize("snr", [0.0, 15.0])
def test_scores_agree_with_the_reference_packages(speech, snr):
    noisy, clean = mix_at_snr(speech[: 3 * 16000], torch.randn(3 * 16000), snr)
    result = scores(clean, noisy, 16000, noisy - clean)
    assert result["si_sir"] == pytest.approx(float(si_sir_sar(clean, noisy - clean, noisy)[0]))
    pair = clean.numpy(), noisy.numpy()
    assert result["pesq"] == pytest.approx(pesq.pesq(16000, *pair, "wb"), abs=1e-4)
    assert result["pesq_nb"] == pytest.approx(pesq.pesq(16000, *pair, "nb"), abs=1e-4)
    assert result["pesq_nb"] > result["pesq"] + 0.1
    assert result["stoi"] == pytest.approx(pystoi.stoi(*pair, 16000), abs=1e-6)
    assert result["estoi"] == pytest.approx(pystoi.stoi(*pair, 16000, extended=True), abs=1e-6)


def test_published_scores_of_the_noisy_demo(real_data, speech):
    """The scores that a published system reports for its input: -0.54 dB, 1.107, 0.661."""
    noisy = read_sound(real_data / "tcd_timit" / "demo" / "noisy.wav").mono()
    result = scores(speech, noisy, 16000)
    assert result["si_sdr"] == pytest.approx(-0.54, abs=0.005)
    assert result["pesq"] == pytest.approx(1.107, abs=0.0006)
    assert result["stoi"] == pytest.approx(0.661, abs=0.0006)
    assert result["estoi"] == pytest.approx(pystoi.stoi(speech.numpy(), noisy.numpy(), 16000, True), abs=1e-9)
    assert result["note"] == ""


def test_perfect_estimate_has_the_highest_scores(speech):
    result = scores(speech, 0.5 * speech, 16000)
    assert result["si_sdr"] == math.inf
    assert result["pesq"] == pytest.approx(4.644, abs=0.001)  # ceiling of P.862.2
    assert result["stoi"] == pytest.approx(1.0)
    assert result["estoi"] == pytest.approx(1.0)


def test_more_noise_scores_lower(speech):
    noise = torch.randn(len(speech))
    results = []
    for snr in (20.0, 5.0, -10.0):
        noisy, clean = mix_at_snr(speech, noise, snr)
        results.append(scores(clean, noisy + 0.1 * (noisy - clean).roll(1), 16000, noisy - clean))
    for metric in METRICS:
        values = [result[metric] for result in results]
        assert values == sorted(values, reverse=True)
        assert values[0] > values[-1] + 0.05


def test_scores_hardly_depend_on_the_sample_rate(speech):
    noisy, clean = mix_at_snr(speech, torch.randn(len(speech)), 30.0)
    sounds = torch.stack([clean, noisy])
    clean48, noisy48 = Sound(sounds, 16000).resample(48000).waveform
    here, there = scores(clean, noisy, 16000), scores(clean48, noisy48, 48000)
    assert here["pesq"] > 2
    assert there["pesq"] == pytest.approx(here["pesq"], abs=0.05)
    assert there["stoi"] == pytest.approx(here["stoi"], abs=0.01)
    assert there["estoi"] == pytest.approx(here["estoi"], abs=0.01)


def test_scores_repeat_and_leave_the_random_state_alone(speech):
    noisy = speech[:32000] + 0.05 * torch.randn(32000)
    np.random.seed(3)
    first = scores(speech[:32000], noisy, 16000, noisy)
    drawn = np.random.rand()
    np.random.seed(3)
    assert np.random.rand() == drawn
    np.random.seed(4)
    assert scores(speech[:32000], noisy, 16000, noisy) == first


# What cannot be scored


def assert_undefined(result, *metrics):
    """Of the scores that need no noise."""
    for metric in [metric for metric in METRICS if metric not in ("si_sir", "si_sar")]:
        assert math.isnan(result[metric]) == (metric in metrics), metric


def test_silence_is_nan_with_the_reason():
    sound, silence = torch.randn(16000), torch.zeros(16000)
    result = scores(sound, silence, 16000)
    assert_undefined(result, *METRICS)
    assert result["note"] == "silent estimate"
    assert scores(silence, sound, 16000)["note"] == "silent clean sound"
    assert scores(silence, silence, 16000)["note"] == "silent clean sound"


def test_no_utterance_is_nan_with_the_reason():
    """Bursts of a tenth of a second, shorter than anything that PESQ takes for speech."""
    time = torch.arange(32000) / 16000
    clean = torch.randn(32000) * (time % 0.5 < 0.1)
    result = scores(clean, clean + 0.1 * torch.randn(32000), 16000)
    assert_undefined(result, "pesq", "pesq_nb")
    assert result["note"] == "PESQ: No utterances detected"


def test_pesq_that_comes_out_as_nan_says_so():
    clean = torch.zeros(4800)
    clean[4700] = 1.0
    result = scores(clean, torch.randn(4800), 16000)
    assert_undefined(result, "pesq", "pesq_nb", "stoi", "estoi")
    assert result["note"] == "PESQ: undefined; STOI: fewer than 30 frames of speech"


def test_too_short_is_nan_with_the_reason():
    clean = torch.randn(3000)
    result = scores(clean, clean + 0.1 * torch.randn(3000), 16000)
    assert_undefined(result, "pesq", "pesq_nb", "stoi", "estoi")
    assert "PESQ: Buffer needs to be at least 1/4 of a second long" in result["note"]
    assert "STOI: fewer than 30 frames" in result["note"]


def test_ten_milliseconds_and_one_sample_do_not_crash():
    for samples in (1, 160):
        clean = torch.randn(samples)
        assert_undefined(scores(clean, clean + 1, 16000), "pesq", "pesq_nb", "stoi", "estoi")


def test_long_clip_has_no_pesq_but_the_rest():
    """Bursts that would overrun the utterance table of the PESQ code, which ends the process."""
    time = torch.arange(30 * 16000) / 16000
    clean = torch.randn(len(time)) * (time % 0.44 < 0.22)
    result = scores(clean, clean + 0.1 * torch.randn(len(time)), 16000)
    assert_undefined(result, "pesq", "pesq_nb")
    assert result["note"] == "PESQ: longer than 20 s"


def test_the_longest_clip_with_the_most_utterances_has_pesq():
    time = torch.arange(20 * 16000) / 16000
    clean = torch.randn(len(time)) * (time % 0.44 < 0.22)
    assert_undefined(scores(clean, clean + 0.1 * torch.randn(len(time)), 16000))


@pytest.mark.parametrize(
    ("clean", "estimate", "message"),
    [
        (torch.ones(10), torch.ones(11), r"differ in length \(10, 11 samples\)"),
        (torch.ones(1, 10), torch.ones(10), "mono"),
        (torch.ones(10), torch.tensor([math.nan] * 10), "estimate has NaN or infinite"),
        (torch.tensor([math.inf] * 10), torch.ones(10), "NaN or infinite"),
    ],
)
def test_what_cannot_be_compared_is_refused(clean, estimate, message):
    with pytest.raises(UserError, match=message):
        scores(clean, estimate, 16000)
