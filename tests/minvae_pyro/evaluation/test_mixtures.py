import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from minvae_pyro.errors import UserError
from minvae_pyro.evaluation.mixtures import Mixture, read_mixtures, score_mixtures
from minvae_pyro.evaluation.scores import METRICS, scores

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
        ("id,clip\n0,bob/train/one.wav\n", "lacks the columns noise, noise_offset_samples, snr_db"),
        (HEADER + "0,bob/train/one.wav,noise/hum.wav,much,5\n", "line 2: .*no number"),
        (HEADER + "0,bob/train/one.wav,noise/hum.wav,,5\n", "line 2: .*missing"),
        (HEADER + "0,bob/train/one.wav,noise/hum.wav,1,\n", "line 2: .*missing"),
        (HEADER + "0,,noise/hum.wav,1,5\n", "line 2: .*missing"),
        (HEADER + "0,bob/train/none.wav,noise/hum.wav,1,5\n", r"line 2: .*none\.wav does not exist"),
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
def estimates(corpus):
    """Three systems: the clean sound with a little noise, the mixture itself, silence."""
    built = [mixture.build() for mixture in read_mixtures(corpus)]
    return {
        "good": [clean + 0.01 * noisy for noisy, clean in built],
        "same": [noisy for noisy, _ in built],
        "mute": [torch.zeros_like(noisy) for noisy, _ in built],
    }


def test_scores_of_systems(corpus, estimates):
    mixtures = read_mixtures(corpus)
    table = score_mixtures(mixtures, estimates)
    assert list(table["system"]) == ["good"] * 3 + ["same"] * 3 + ["mute"] * 3
    assert list(table["id"]) == [m.id for m in mixtures] * 3
    assert list(table["talker"][:3]) == ["bob", "bob", "eve"]
    assert set(table["noise"]) == {"hum"}
    same = table[table["system"] == "same"]
    for metric in METRICS:
        assert (same[f"{metric}_gain"] == 0).all()
        assert (table[table["system"] == "good"][f"{metric}_gain"] > 0).all()
    row = table[(table["system"] == "good") & (table["id"] == "00_+5")].iloc[0]
    noisy, clean = mixtures[1].build()
    before, after = scores(clean, noisy, 16000), scores(clean, estimates["good"][1], 16000)
    for metric in METRICS:
        assert row[f"{metric}_input"] == pytest.approx(before[metric])
        assert row[metric] == pytest.approx(after[metric])
        assert row[f"{metric}_gain"] == pytest.approx(after[metric] - before[metric])
    mute = table[table["system"] == "mute"]
    assert mute["pesq_gain"].isna().all()
    assert mute["si_sdr_input"].notna().all()
    assert set(mute["note"]) == {"estimate: silent estimate"}
    assert set(same["note"]) == {""}


def test_workers_change_nothing(corpus, estimates):
    mixtures = read_mixtures(corpus)
    one = score_mixtures(mixtures, estimates, workers=1)
    two = score_mixtures(mixtures, estimates, workers=2)
    pd.testing.assert_frame_equal(one, two, check_exact=True)


def test_scoring_leaves_the_number_of_threads_alone(corpus, estimates):
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        score_mixtures(read_mixtures(corpus)[:1], {"same": estimates["same"][:1]})
        assert torch.get_num_threads() == threads + 1
    finally:
        torch.set_num_threads(threads)


def test_estimates_that_do_not_fit_are_refused(corpus, estimates):
    mixtures = read_mixtures(corpus)
    with pytest.raises(UserError, match="good has 2 estimates for 3 mixtures"):
        score_mixtures(mixtures, {"good": estimates["good"][:2]})
    estimates["good"][2] = estimates["good"][2][:-1]
    with pytest.raises(UserError, match=r"01_\+0.*differ in length"):
        score_mixtures(mixtures, estimates)


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
