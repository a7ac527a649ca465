import pytest
import torch

from minvae_pyro import enhance, load_checkpoint
from minvae_pyro.audio.files import Sound
from minvae_pyro.audio.stft import STFT
from minvae_pyro.enhancement.ready import Blend, as_recorded, make_ready
from minvae_pyro.enhancement.recording import Recording
from minvae_pyro.enhancement.separation import Separation
from minvae_pyro.errors import UserError

RATE = 16000


def noisy(seconds: float = 0.5, rate: int = RATE) -> Sound:
    return Sound(0.1 * torch.randn(2, round(seconds * rate)), rate)


def test_a_mix_is_a_share_of_both(known_inference) -> None:
    known_inference.gains = [0.25]
    sound = noisy()
    whole = enhance(sound.waveform, sample_rate=RATE, checkpoint="a-vae")
    mixed = enhance(sound.waveform, sample_rate=RATE, checkpoint="a-vae", mix=0.9)
    torch.testing.assert_close(mixed.speech, 0.9 * whole.speech + 0.1 * sound.waveform)
    torch.testing.assert_close(mixed.speech + mixed.noise, sound.waveform)
    assert torch.equal(enhance(sound.waveform, sample_rate=RATE, checkpoint="a-vae", mix=0.0).speech, sound.waveform)


@pytest.mark.parametrize(("limit", "kept"), [(20.0, 0.1), (6.0, 10**-0.3), (0.0, 1.0), (60.0, 0.01)])
def test_no_cell_is_attenuated_beyond_the_limit(known_inference, limit: float, kept: float) -> None:
    """The gain is 0.01, -40 dB: of 60 dB there is no need."""
    known_inference.gains = [0.01]
    sound = noisy()
    found = enhance(sound.waveform, sample_rate=RATE, checkpoint="a-vae", limit=limit)
    torch.testing.assert_close(found.speech, kept * sound.waveform, rtol=1e-3, atol=1e-5)


def test_the_limit_holds_for_every_cell_of_a_true_gain() -> None:
    sound = noisy(1.0)
    stft = load_checkpoint("a-vae").stft
    found = enhance(sound.waveform, sample_rate=RATE, checkpoint="a-vae", limit=12.0)
    free = enhance(sound.waveform, sample_rate=RATE, checkpoint="a-vae")
    before, after, unbound = (stft(one).abs().square().sum() for one in (sound.waveform, found.speech, free.speech))
    assert 10 * torch.log10(before / after) <= 12.01
    assert 10 * torch.log10(before / unbound) > 12.5


def test_the_limit_holds_above_what_the_model_hears(known_inference) -> None:
    """A tone at 12 kHz, of which the model knows nothing, is attenuated by the limit and the mix and no more."""
    known_inference.gains = [0.0]
    tone = 0.5 * torch.sin(2 * torch.pi * 12000 / 48000 * torch.arange(24000))[None]
    whole = 0.1 * torch.randn(1, 24000) + tone

    def kept(**blend: float) -> tuple[float, list[str]]:
        found = enhance(whole, sample_rate=48000, checkpoint="a-vae", **blend)
        inner = slice(2000, -2000)
        return float((found.speech * tone)[:, inner].sum() / (whole * tone)[:, inner].sum()), found.notes

    share, notes = kept()
    assert share == pytest.approx(0, abs=1e-3)
    assert "nothing above 8 kHz is kept: the model hears no higher" in notes
    share, notes = kept(limit=20.0)
    assert share == pytest.approx(0.1, abs=2e-3)
    assert "all above 8 kHz is attenuated by 20 dB: the model hears no higher" in notes
    share, notes = kept(limit=20.0, mix=0.5)
    assert share == pytest.approx(0.55, abs=2e-3)
    assert "all above 8 kHz is attenuated by 5 dB: the model hears no higher" in notes


def test_little_noise_is_told_by_what_there_was_not_by_the_blend() -> None:
    stft = STFT()
    recording = Recording(noisy(), None)
    ready = make_ready(recording, stft, Blend())
    heard = ready.channels(RATE)

    def notes(share: float, blend: Blend) -> list[str]:
        found = Separation(heard * max(1 - share, blend.floor), None, [-1.0])
        return as_recorded(ready, found, RATE, blend)[1]

    assert notes(0.01, Blend()) == ["little noise was found: it lies 40 dB below the speech"]
    assert notes(0.5, Blend(mix=0.01)) == []
    assert notes(1.0, Blend(limit=0.5)) == []


@pytest.mark.parametrize("mix", [-0.1, 1.1, float("nan")])
def test_impossible_blends(mix: float) -> None:
    with pytest.raises(UserError, match="there cannot be a mix"):
        Blend(mix=mix)
    with pytest.raises(UserError, match="give 0 or more, such as 20"):
        Blend(limit=mix - 2)
