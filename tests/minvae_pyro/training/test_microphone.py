import math
import sys

import pytest
import torch

from minvae_pyro.audio.stft import STFT
from minvae_pyro.corpora.corpus import MemoryCorpus
from minvae_pyro.errors import UserError
from minvae_pyro.utterances import Utterances, concatenate

try:
    import torchaudio
except (ImportError, OSError) as missing:  # it loads beside a torch of its own kind only
    pytest.skip(f"torchaudio cannot be loaded: {missing}", allow_module_level=True)

from minvae_pyro.training.microphone import MicrophoneColour, microphones


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def batch():
    """Utterances of two lengths; the encoder hears noise beside the speech."""
    utterances = concatenate([Utterances.from_spectrum(torch.rand(n, 513) + 0.1) for n in (20, 30) * 20])
    return utterances.replace(noisy_power=utterances.spectrum + torch.rand(utterances.spectrum.shape))


@pytest.fixture
def corpus(batch):
    return MemoryCorpus([Utterances.from_spectrum(torch.rand(5, 513))], STFT())


def test_a_microphone_passes_what_its_filters_do_to_tones():
    time = torch.arange(16384, dtype=torch.float64) / 16000
    passed = microphones(3, 9.0, 1024, 16000)
    assert passed.shape == (3, 513)
    # the gains are drawn as the function says
    draw = torch.Generator().manual_seed(0)
    gains = 9 * (2 * torch.rand(3, 3, generator=draw, dtype=torch.float64) - 1)
    middles = 400 * 6.25 ** torch.rand(3, generator=draw, dtype=torch.float64)
    for number in range(3):
        for bin_ in (1, 8, 64, 200, 400):
            # quiet, for filters clip at 1
            sound = 0.01 * torch.sin(2 * math.pi * bin_ * 15.625 * time)
            heard = torchaudio.functional.bass_biquad(sound, 16000, gains[number, 0].item(), 120.0)
            heard = torchaudio.functional.equalizer_biquad(
                heard, 16000, middles[number].item(), gains[number, 1].item()
            )
            heard = torchaudio.functional.treble_biquad(heard, 16000, gains[number, 2].item(), 3000.0)
            # whole periods, when the filters have settled
            ratio = heard[8192:].square().mean() / sound[8192:].square().mean()
            assert passed[number, bin_] == pytest.approx(float(ratio), rel=0.01)


def test_speech_and_what_is_heard_change_alike_and_keep_their_power(batch, corpus):
    coloured = MicrophoneColour(share=0.5)(batch, generator(), corpus)
    ratio = coloured.spectrum[:, :20] / batch.spectrum[:, :20]  # what no utterance pads
    torch.testing.assert_close(coloured.noisy_power[:, :20] / batch.noisy_power[:, :20], ratio)
    mask = batch.mask[..., None]
    torch.testing.assert_close((coloured.spectrum * mask).sum((1, 2)), (batch.spectrum * mask).sum((1, 2)))
    changed = (ratio[:, 0] - 1).abs().amax(1) > 1e-3
    assert 8 <= int(changed.sum()) <= 32
    # one microphone for all frames of an utterance
    torch.testing.assert_close(ratio[:, 5], ratio[:, 0])


def test_complex_spectra_change_by_the_root(batch, corpus):
    phase = torch.polar(torch.ones_like(batch.spectrum), torch.rand(batch.spectrum.shape))
    spectrum = batch.spectrum.sqrt() * phase
    plain = MicrophoneColour()(batch, generator(), corpus)
    rotated = MicrophoneColour()(batch.replace(spectrum=spectrum), generator(), corpus)
    torch.testing.assert_close(rotated.spectrum.abs().square(), plain.spectrum, rtol=1e-4, atol=1e-6)


def test_seeds_decide_and_the_default_generator_is_left_alone(batch, corpus):
    state = torch.get_rng_state()
    one, same, other = (MicrophoneColour()(batch, generator(seed), corpus).spectrum for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_silence_stays_silence(corpus):
    silent = Utterances.from_spectrum(torch.zeros(4, 513))
    assert not MicrophoneColour(share=1.0)(silent, generator(), corpus).spectrum.any()


@pytest.mark.parametrize("wrong", [{"share": 1.1}, {"largest_db": -1.0}, {"microphones": 0}])
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(UserError, match="of a MicrophoneColour"):
        MicrophoneColour(**wrong)


def test_without_torchaudio_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchaudio", None)
    with pytest.raises(UserError, match="MicrophoneColour needs torchaudio, which cannot be loaded"):
        MicrophoneColour()
