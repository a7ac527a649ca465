from dataclasses import fields

import numpy as np
import pytest

from minvae_pyro.synthetic.gestures import CONTROL_RATE, Gestures
from minvae_pyro.synthetic.voice import SAMPLE_RATE, formants, render_voice

SECONDS = 1.0


def hold(**posture: float) -> Gestures:
    """One posture held for a second: an open, voiced, neutral mouth by default."""
    rest = dict.fromkeys((field.name for field in fields(Gestures)), 0.0)
    rest |= {"opening": 0.5, "width": 0.5, "front": 0.5, "height": 0.3, "flow": 1.0, "voice": 1.0}
    rest |= {"pitch": 120.0, "friction_hz": 4000.0} | posture
    length = int(SECONDS * CONTROL_RATE) + 1
    return Gestures(**{name: np.full(length, value) for name, value in rest.items()})


def sound(gestures: Gestures) -> np.ndarray:
    return render_voice(gestures, int(SECONDS * SAMPLE_RATE), np.random.default_rng(0))


def power(gestures: Gestures) -> float:
    return float(np.mean(sound(gestures) ** 2))


def envelope_peak(gestures: Gestures, low: float, high: float) -> float:
    """Frequency in Hz of the strongest harmonic between two others."""
    wave = sound(gestures)
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    hertz = np.fft.rfftfreq(len(wave), 1 / SAMPLE_RATE)
    inside = (hertz > low) & (hertz < high)
    return float(hertz[inside][spectrum[inside].argmax()])


def test_pitch_is_the_pitch_that_was_asked_for() -> None:
    wave = sound(hold(pitch=125.0))
    correlation = np.correlate(wave[4000:8000], wave[4000:6000], mode="valid")
    assert 60 + correlation[60:200].argmax() == pytest.approx(SAMPLE_RATE / 125, abs=2)


@pytest.mark.parametrize(
    ("posture", "low", "high"),
    [
        ({"opening": 1.0, "height": 0.0}, 500, 1000),  # F1 of "a"
        ({"opening": 0.3, "height": 1.0, "front": 1.0, "width": 0.95}, 1700, 2700),  # F2 of "i"
    ],
)
def test_formants_appear_in_the_sound(posture: dict[str, float], low: float, high: float) -> None:
    gestures = hold(pitch=60.0, **posture)
    frequencies, _ = formants(gestures.at(np.zeros(1)))
    expected = next(float(hertz) for hertz in frequencies[:, 0] if low < hertz < high)
    assert envelope_peak(gestures, low, high) == pytest.approx(expected, abs=60)  # one harmonic


def test_lips_drive_the_resonances() -> None:
    opened, shut = formants(hold(opening=0.9))[0], formants(hold(opening=0.2))[0]
    assert (opened[0] > shut[0] + 200).all()
    spread, rounded = formants(hold(width=1.0))[0], formants(hold(width=0.0))[0]
    assert (spread[1] > rounded[1] + 200).all()


def test_formants_rise_and_stay_below_the_nyquist_frequency() -> None:
    rng = np.random.default_rng(0)
    tracks = {field.name: rng.uniform(-0.5, 1.3, 500) for field in fields(Gestures)}
    frequencies, bandwidths = formants(Gestures(**tracks), tract=1.2)
    assert (np.diff(frequencies, axis=0) > 0).all()
    assert frequencies.min() > 0
    assert frequencies.max() < SAMPLE_RATE / 2
    assert bandwidths.min() > 0


def test_a_wider_mouth_is_louder_and_a_closed_one_nearly_silent() -> None:
    assert power(hold(opening=0.9)) > 2 * power(hold(opening=0.3)) > 40 * power(hold(opening=-0.2))


def test_the_nose_sounds_when_the_mouth_is_shut() -> None:
    assert power(hold(flow=0.0, nasal=1.0)) > 10 * power(hold(flow=0.0))


def test_no_source_no_sound() -> None:
    assert power(hold(voice=0.0)) == 0.0


def test_friction_is_strongest_where_it_is_asked_for() -> None:
    assert envelope_peak(hold(voice=0.0, friction=1.0, friction_hz=3000.0), 100, 7900) == pytest.approx(3000, abs=800)
    assert envelope_peak(hold(voice=0.0, friction=1.0, friction_hz=6200.0), 100, 7900) == pytest.approx(6200, abs=1200)


def test_stationary_gestures_give_a_steady_sound() -> None:
    """Overlap-add of a filter that does not move must not leave the rhythm of its frames."""
    wave = sound(hold(voice=0.0, aspiration=1.0, opening=0.8))[4000:12000]
    # Power folded at the hop of the filter: equal at every phase.
    phases = (wave.reshape(-1, 80) ** 2).mean(0)
    assert phases.std() / phases.mean() < 0.25
