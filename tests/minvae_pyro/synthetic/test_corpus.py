import pytest
import torch

from minvae_pyro.errors import UserError
from minvae_pyro.synthetic.corpus import SyntheticCorpus
from minvae_pyro.synthetic.talker import synthesise


@pytest.fixture(scope="module")
def corpus():
    return SyntheticCorpus(utterances=3, seconds=1.0, first_seed=5, hop=400)


def test_utterances_are_those_of_the_synthetic_talker(corpus):
    drawn = synthesise(1.0, 6)
    level = drawn.waveform.square().mean().sqrt()
    expected = corpus.stft(drawn.waveform / level).abs().square()
    torch.testing.assert_close(corpus.load(1).power[0], expected, rtol=1e-3, atol=1e-4)
    assert corpus.lengths == [41, 41, 41]
    assert corpus.load(2).index.tolist() == [2]


def test_pictures_are_those_of_the_same_moment(corpus):
    drawn = synthesise(1.0, 5)
    # sound frames come every 25 ms and pictures every 40 ms: they meet every 200 ms
    meeting = corpus.load(0).mouth[0, :40:8]
    torch.testing.assert_close(meeting, drawn.crops[::5].float() / 255, rtol=0, atol=1e-6)
    assert corpus.load(0).mouth_seen.all()


def test_slices(corpus):
    part = corpus.load(0, 10, 20)
    assert torch.equal(part.power, corpus.load(0).power[:, 10:20])
    assert torch.equal(part.mouth, corpus.load(0).mouth[:, 10:20])
    assert torch.equal(corpus.load_power(0, 10, 20), part.power[0])


def test_no_utterance_is_refused():
    with pytest.raises(UserError, match="at least one"):
        SyntheticCorpus(utterances=0)
