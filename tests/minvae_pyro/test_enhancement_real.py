"""Enhancement as a newcomer meets it: real recordings and the checkpoint that ships."""

from pathlib import Path

import pytest

from minvae_pyro import enhance, read_sound, shipped
from minvae_pyro.audio.mixing import mix_at_snr
from minvae_pyro.enhancement.enhance import DEFAULT_CHECKPOINT
from minvae_pyro.evaluation.scores import si_sdr
from minvae_pyro.video.mouth import read_mouth


def test_the_default_checkpoint_ships() -> None:
    assert DEFAULT_CHECKPOINT in shipped()


@pytest.mark.parametrize("engine", ["svi", "vem"])
def test_a_talker_in_noise_becomes_clean(real_data: Path, engine: str) -> None:
    talk = real_data / "grid" / "s1" / "validation" / "bbaf2n.mkv"
    clean = read_sound(talk)
    noise = read_sound(real_data / "noise" / "construction.flac")
    noisy, clean_part = mix_at_snr(clean.mono(), noise.mono(), 0.0)
    result = enhance(noisy, sample_rate=clean.sample_rate, video=read_mouth(talk), engine=engine)
    assert result.faces_found > 0.95
    assert result.notes == []
    gain = si_sdr(clean_part, result.speech[0]) - si_sdr(clean_part, noisy)
    assert float(gain) > 3
    assert result.audio_responsibility is not None
    assert 0 <= float(result.audio_responsibility.min()) <= float(result.audio_responsibility.max()) <= 1


def test_an_original_grid_video_keeps_its_rate_and_channels(real_data: Path) -> None:
    talk = sorted((real_data / "grid" / "s26").iterdir())[0]
    before = read_sound(talk)
    result = enhance(talk)
    assert (before.sample_rate, before.waveform.shape[0]) == (44100, 2)
    assert result.sample_rate == 44100
    assert result.speech.shape == before.waveform.shape
    assert result.faces_found > 0.9
