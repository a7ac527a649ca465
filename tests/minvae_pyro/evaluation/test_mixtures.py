import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from minvae_pyro.errors import UserError
from minvae_pyro.evaluation.mixtures import Mixture, read_mixtures

HEADER = "id,clip,noise,noise_offset_samples,snr_db\n"


def babble(seconds, seed, rate=16000):
    """Noise bursts with pauses, which PESQ takes for utterances."""
    t = np.arange(round(seconds * rate)) / rate
    return 0.1 * np.random.default_rng(seed).normal(size=len(t)) * (t % 0.8 < 0.5)


@pytest.fixture
def corpus(tmp_path):
    """Two talkers, one noise that is shorter than the clips, and a table of three mixtures."""
    for clip, seed in (("bob/train/one.wav", 1), ("eve/two.wav", 2)):
        (tmp_path / clip).parent.mkdir(parents=True)
        soundfile.write(tmp_path / clip, babble(1.6, seed), 16000, "FLOAT")
    hum = np.random.default_rng(3).normal(size=16000)
    (tmp_path / "noise").mkdir()
    soundfile.write(tmp_path / "noise" / "hum.wav", 0.1 * hum, 16000, "FLOAT")
    table = tmp_path / "mixtures.csv"
    table.write_text(
        HEADER
        + "00_-5,bob/train/one.wav,noise/hum.wav,7000,-5\n"
        + "00_+5,bob/train/one.wav,noise/hum.wav,7000,5\n"
        + "01_+0,eve/two.wav,noise/hum.wav,0,0\n"
    )
    return table


def test_table_is_read(corpus):
    mixtures = read_mixtures(str(corpus))
    assert [m.id for m in mixtures] == ["00_-5", "00_+5", "01_+0"]
    assert [m.talker for m in mixtures] == ["bob", "bob", "eve"]
    assert [m.snr_db for m in mixtures] == [-5.0, 5.0, 0.0]
    assert mixtures[0].noise == corpus.parent / "noise" / "hum.wav"
    assert mixtures[0].noise_offset_samples == 7000


def test_mixture_follows_its_recipe(corpus):
    """Built again by NumPy, from the words of the recipe."""
    mixture = read_mixtures(corpus)[0]
    clean = babble(1.6, 1)
    hum = 0.1 * np.random.default_rng(3).normal(size=16000)
    noise = np.concatenate([hum[7000:], hum, hum])[: len(clean)]
    noise = noise * np.sqrt((clean**2).sum() / (noise**2).sum() / 10**-0.5)
    peak = max(1.0, np.abs(clean + noise).max())
    noisy, got_clean = mixture.build()
    np.testing.assert_allclose(noisy.numpy(), (clean + noise) / peak, atol=1e-6)
    np.testing.assert_allclose(got_clean.numpy(), clean / peak, atol=1e-6)


def test_clip_of_another_rate_and_more_channels_is_converted(corpus):
    clip = corpus.parent / "eve" / "two.wav"
    soundfile.write(clip, np.stack([babble(1.6, 2, 44100), babble(1.6, 5, 44100)], axis=1), 44100)
    noisy, clean = read_mixtures(corpus)[2].build()
    assert noisy.shape == clean.shape == (round(1.6 * 16000),)


def test_silent_clip_is_named(corpus):
    clip = corpus.parent / "eve" / "two.wav"
    soundfile.write(clip, np.zeros(100), 16000)
    with pytest.raises(UserError, match=r"two\.wav.*01_\+0.*silence"):
        read_mixtures(corpus)[2].build()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Cannot read the table"),
        ("id,noisy\n0,bob/train/one.wav\n", "lacks the columns clip"),
        ("id,clip\n0,bob/train/one.wav\n", "lacks the columns noise, noise_offset_samples, snr_db"),
        (HEADER + "0,bob/train/one.wav,noise/hum.wav,much,5\n", "line 2: .*no number"),
        (HEADER + "0,bob/train/one.wav,noise/hum.wav,,5\n", "line 2: .*missing"),
        (HEADER + "0,bob/train/one.wav,noise/hum.wav,1,\n", "line 2: .*missing"),
        (HEADER + "0,,noise/hum.wav,1,5\n", "line 2: .*missing"),
        (HEADER + "0,bob/train/none.wav,noise/hum.wav,1,5\n", r"line 2: .*none\.wav does not exist"),
        (HEADER + ",bob/train/one.wav,noise/hum.wav,1,5\n", "line 2: .*missing"),
        (HEADER + 2 * "0,bob/train/one.wav,noise/hum.wav,1,5\n", "the id 0 twice"),
    ],
)
def test_bad_table_is_one_clear_line(corpus, text, message):
    corpus.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        read_mixtures(corpus)
    assert "mixtures.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", ["none.csv", "."])
def test_missing_table_is_one_clear_line(tmp_path, path):
    with pytest.raises(UserError, match="table of mixtures"):
        read_mixtures(tmp_path / path)


@pytest.fixture
def recorded(corpus):
    """Two recorded mixtures, one of them at another rate and in stereo, and a table that names them."""
    samples = babble(1.6, 1) + babble(1.6, 7)
    soundfile.write(corpus.parent / "a.wav", samples, 16000, "FLOAT")
    soundfile.write(corpus.parent / "b.wav", np.repeat(np.stack([samples, samples], 1), 3, axis=0), 48000, "FLOAT")
    corpus.write_text(
        "id,clip,noisy,noise,snr_db,video\n"
        "a,bob/train/one.wav,a.wav,party,3,\n"
        "b,bob/train/one.wav,b.wav,,,eve/two.wav\n"
    )
    return corpus


def test_recorded_mixtures_are_read_as_they_are(recorded):
    first, second = read_mixtures(recorded)
    assert (first.noise_name, first.snr_db, first.video) == ("party", 3.0, None)
    assert (second.noise_name, second.video) == ("unknown", recorded.parent / "eve" / "two.wav")
    assert math.isnan(second.snr_db)
    noisy, clean = first.build()
    np.testing.assert_allclose(clean.numpy(), babble(1.6, 1), atol=1e-7)
    np.testing.assert_allclose((noisy - clean).numpy(), babble(1.6, 7), atol=1e-7)
    noisy, clean = second.build()
    assert len(noisy) == len(clean) == pytest.approx(1.6 * 16000, abs=1)


@pytest.mark.parametrize("excess", [-0.04, -0.06, 0.03, 0.07])
def test_a_recorded_mixture_may_be_off_by_a_twentieth_of_a_second(recorded, excess):
    soundfile.write(recorded.parent / "a.wav", babble(1.6 + excess, 1), 16000, "FLOAT")
    mixture = read_mixtures(recorded)[0]
    if abs(excess) > 0.05:
        with pytest.raises(UserError, match=rf"mixture a\) last {1.6 + excess:.3f} and 1.600 s"):
            mixture.build()
    else:
        noisy, clean = mixture.build()
        assert len(noisy) == len(clean) == round(16000 * (1.6 + min(0.0, excess)))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a,bob/train/one.wav,none.wav,,,", r"none\.wav does not exist"),
        ("a,bob/train/one.wav,,,,", "missing"),
        ("a,bob/train/one.wav,a.wav,,loud,", "no number"),
        ("a,bob/train/one.wav,a.wav,,,none.mp4", r"none\.mp4 does not exist"),
    ],
)
def test_a_bad_line_of_recorded_mixtures_is_one_clear_line(recorded, line, message):
    recorded.write_text(f"id,clip,noisy,noise,snr_db,video\n{line}\n")
    with pytest.raises(UserError, match=f"line 2: .*{message}"):
        read_mixtures(recorded)


def test_talker_of_a_clip_outside_any_split():
    assert Mixture("0", Path("grid/s26/a.mpg"), Path("n.wav"), 0, 0.0).talker == "s26"
    assert Mixture("0", Path("grid/s1/validation/a.mkv"), Path("n.wav"), 0, 0.0).talker == "s1"


def test_real_table(real_data):
    """All 36 mixtures: talkers as counted in the data's description, ratio over the clip as in the table."""
    mixtures = read_mixtures(real_data / "mixtures.csv")
    assert pd.Series([m.talker for m in mixtures]).value_counts().to_dict() == {"s1": 24, "s26": 12}
    for mixture in mixtures[::5]:
        noisy, clean = mixture.build()
        ratio = clean.double().square().sum() / (noisy - clean).double().square().sum()
        assert 10 * math.log10(ratio) == pytest.approx(mixture.snr_db, abs=1e-3)
        assert noisy.abs().max() <= 1
        assert len(noisy) == pytest.approx(2.978 * 16000, abs=1)


def test_tracks_stand_in_columns(corpus):
    """They are counted from 1; what is empty is the default track."""
    lines = corpus.read_text().splitlines()
    tracks = [",audio_track,video_track", ",2,1", ",,3", ",,"]
    corpus.write_text("\n".join(line + more for line, more in zip(lines, tracks, strict=True)))
    found = [(mixture.audio_track, mixture.noisy_track, mixture.video_track) for mixture in read_mixtures(corpus)]
    assert found == [(2, None, 1), (None, None, 3), (None, None, None)]
    for wrong in ("0", "-1", "first", "1.5", "9" * 5000):
        corpus.write_text(f"{lines[0]},audio_track\n{lines[1]},{wrong}\n")
        with pytest.raises(UserError, match="line 2: an entry is missing or is no number"):
            read_mixtures(corpus)
