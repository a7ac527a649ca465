import pytest
import torch

from minvae_pyro.audio.stft import STFT
from minvae_pyro.corpora.corpus import MemoryCorpus
from minvae_pyro.errors import UserError
from minvae_pyro.training.noise import NoNoise, RealisticNoise, UniformNoise, coloured_noise
from minvae_pyro.utterances import Utterances, concatenate

TRANSFORMS = [NoNoise(), UniformNoise(), RealisticNoise(), RealisticNoise(talkers=1.0), RealisticNoise(talkers=0.0)]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def corpus():
    """Clips shorter and longer than the pieces of the batch."""
    lengths = [5, 40, 90]
    return MemoryCorpus([Utterances.from_spectrum(torch.rand(n, 513) + 0.1) for n in lengths], STFT())


@pytest.fixture
def batch():
    return concatenate([Utterances.from_spectrum(torch.rand(30, 513)) for _ in range(64)])


@pytest.mark.parametrize("noise", TRANSFORMS)
def test_only_the_noisy_power_changes_and_seeds_decide(noise, batch, corpus):
    one, same = noise(batch, generator(1), corpus), noise(batch, generator(1), corpus)
    assert one.spectrum is batch.spectrum
    assert torch.equal(one.noisy_power, same.noisy_power)
    assert (one.noisy_power >= 0).all()
    assert torch.isfinite(one.noisy_power).all()
    if not isinstance(noise, NoNoise):
        assert not torch.equal(one.noisy_power, noise(batch, generator(2), corpus).noisy_power)


@pytest.mark.parametrize("noise", TRANSFORMS)
def test_random_numbers_come_from_the_generator_alone(noise, batch, corpus):
    state = torch.get_rng_state()
    noise(batch, generator(), corpus)
    assert torch.equal(torch.get_rng_state(), state)


def test_no_noise_is_none(batch, corpus):
    assert NoNoise()(batch, generator(), corpus) is batch


def test_uniform_noise_is_that_of_the_paper(batch, corpus):
    added = UniformNoise()(batch, generator(), corpus).noisy_power - batch.noisy_power
    frames = (added > 0).any(-1)
    assert frames.float().mean() == pytest.approx(0.5, abs=0.05)
    chosen = added[frames]
    assert chosen.mean() == pytest.approx(25.0, rel=0.01)
    assert chosen.max() < 50.001
    assert not added[~frames].any()


def test_noise_hits_half_of_the_clips(batch, corpus):
    noisy = RealisticNoise()(batch, generator(), corpus).noisy_power
    assert (noisy != batch.noisy_power).any(-1).any(-1).float().mean() == pytest.approx(0.5, abs=0.2)


@pytest.mark.parametrize("talkers", [0.0, 1.0])
@pytest.mark.parametrize("snr", [-10.0, 0.0, 10.0])
def test_signal_to_noise_ratio_is_as_asked(batch, corpus, talkers, snr):
    noise = RealisticNoise(share=1.0, snr_db=(snr, snr), talkers=talkers)
    # the phase between speech and noise is random, so powers add up on average only
    added = (noise(batch, generator(), corpus).noisy_power - batch.noisy_power).sum()
    assert 10 * torch.log10(batch.noisy_power.sum() / added) == pytest.approx(snr, abs=0.3)


def test_speech_and_noise_can_cancel(batch, corpus):
    noise = RealisticNoise(share=1.0, snr_db=(0.0, 0.0))
    assert (noise(batch, generator(), corpus).noisy_power < batch.noisy_power).float().mean() > 0.1


def test_padding_stays_silent(corpus):
    batch = concatenate([Utterances.from_spectrum(torch.rand(n, 513)) for n in (10, 30)])
    for noise in (RealisticNoise(share=1.0), UniformNoise(share=1.0)):
        assert not noise(batch, generator(), corpus).noisy_power[0, 10:].any()


def test_coloured_noise_swells_only_when_modulated():
    modulated = torch.arange(200) < 100
    loudness = coloured_noise(torch.Size([200, 60, 513]), modulated, generator()).log().mean(-1)
    change = loudness.std(1)
    assert change[modulated].min() > 3 * change[~modulated].max()


def test_other_talkers_come_from_the_voices_that_are_named(batch, corpora):
    silent = MemoryCorpus([Utterances.from_spectrum(torch.zeros(40, 513))], STFT())
    named = RealisticNoise(share=1.0, talkers=1.0, voices=(str(corpora / "train"),))
    unnamed = RealisticNoise(share=1.0, talkers=1.0)
    assert (unnamed(batch, generator(), silent).noisy_power == batch.noisy_power).all()
    assert (named(batch, generator(), silent).noisy_power != batch.noisy_power).any(-1).all()


def test_voices_that_are_missing_are_told_at_once_and_by_their_key(tmp_path):
    with pytest.raises(UserError, match=r"^data\.noise\.voices: .*nowhere does not exist"):
        RealisticNoise(share=1.0, talkers=1.0, voices=(str(tmp_path / "nowhere"),))
