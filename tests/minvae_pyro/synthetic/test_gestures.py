import numpy as np
import pytest

from minvae_pyro.synthetic.gestures import CONTROL_RATE, draw_gestures, wander


def test_gestures_stay_in_their_ranges_and_cover_the_time() -> None:
    for seed in range(5):
        gestures = draw_gestures(4.0, np.random.default_rng(seed), pitch_hz=120)
        assert len(gestures.opening) == 4 * CONTROL_RATE + 1
        for track in (gestures.flow, gestures.nasal):
            assert track.min() >= -1e-9
            assert track.max() <= 1 + 1e-9
        for track in (gestures.voice, gestures.aspiration, gestures.friction):
            assert track.min() >= -1e-9
            assert track.max() <= 1.31
        assert 60 < gestures.pitch.min() < gestures.pitch.max() < 240
        assert 900 < gestures.friction_hz.min() <= gestures.friction_hz.max() < 6500


def test_heavy_organs_move_slower_than_the_glottis() -> None:
    gestures = draw_gestures(20.0, np.random.default_rng(0))
    speed = {name: np.abs(np.diff(getattr(gestures, name))).max() for name in ("width", "front", "voice")}
    assert speed["width"] < speed["voice"] / 3
    assert speed["front"] < speed["voice"] / 3


def test_a_faster_talker_changes_more_often() -> None:
    def onsets(rate: float) -> int:
        voice = draw_gestures(30.0, np.random.default_rng(0), rate=rate).voice > 0.4
        return int(np.sum(voice[1:] & ~voice[:-1]))

    assert onsets(1.5) > 1.2 * onsets(1.0) > 1.2 * 30


def test_reading_at_other_times_interpolates() -> None:
    gestures = draw_gestures(1.0, np.random.default_rng(0))
    between = gestures.at(np.array([0.1, 0.101, 0.102, 5.0]))
    first, second = gestures.opening[50:52]
    np.testing.assert_allclose(between.opening, [first, (first + second) / 2, second, gestures.opening[-1]])


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.5])
def test_wander_has_unit_variance_at_any_speed(seconds: float) -> None:
    track = wander(200_000, 100.0, seconds, np.random.default_rng(0))
    # A few hundred independent stretches at the slowest: the tolerance is three standard errors there.
    assert track.std() == pytest.approx(1.0, abs=0.08)
    assert len(wander(1, 25.0, seconds, np.random.default_rng(0))) == 1
