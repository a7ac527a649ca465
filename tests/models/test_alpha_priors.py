import pyro.distributions as dist
import pytest
import torch

from minvae_pyro.models import FixedAlphaPrior, LearntAlphaPrior, UtteranceAlphaPrior
from minvae_pyro.models.alpha_priors import audio_where_unseen
from minvae_pyro.probability.bernoulli import LOGIT_BOUND
from minvae_pyro.utterances import Utterances


@pytest.fixture
def utterances() -> Utterances:
    """Two utterances of three frames: one mouth unseen, one frame of padding."""
    batch = Utterances.from_spectrum(torch.rand(2, 3, 4), torch.rand(2, 3, 67, 67))
    batch.mouth_seen[0, 1] = False
    batch.mask[1, 2] = batch.mouth_seen[1, 2] = False
    return batch


@pytest.mark.parametrize("alpha_prior", [LearntAlphaPrior(0.2), FixedAlphaPrior(0.2)])
def test_one_weight_for_all_frames_with_a_mouth(alpha_prior: torch.nn.Module, utterances: Utterances) -> None:
    weight = alpha_prior(utterances).mean
    torch.testing.assert_close(weight[utterances.mouth_seen], torch.full((4,), 0.2))
    assert (alpha_prior(utterances).logits[~utterances.mouth_seen] == LOGIT_BOUND).all()
    assert len(list(alpha_prior.parameters())) == isinstance(alpha_prior, LearntAlphaPrior)


def test_log_odds_are_bounded(utterances: Utterances) -> None:
    logit = audio_where_unseen(torch.tensor([[100.0], [-100.0]]), utterances)
    assert logit.tolist() == [[30, 30, 30], [-30, -30, 30]]


def test_frames_without_a_mouth_do_not_train_pi(utterances: Utterances) -> None:
    alpha_prior = LearntAlphaPrior()
    alpha_prior(utterances).logits.sum().backward()
    assert alpha_prior.logit.grad == 4


def test_the_m_step_is_the_mean_responsibility_of_each_utterance(utterances: Utterances) -> None:
    alpha_prior = UtteranceAlphaPrior(torch.zeros(2, 1))
    responsibility = torch.tensor([[0.9, 0.1, 0.5], [0.2, 0.4, 0.99]])
    alpha_prior.m_step(dist.Bernoulli(responsibility), utterances)
    weight = alpha_prior(utterances).mean
    torch.testing.assert_close(weight[0, [0, 2]], torch.full((2,), 0.7))
    torch.testing.assert_close(weight[1, :2], torch.full((2,), 0.3))


def test_the_m_step_maximises_the_bound_over_pi(utterances: Utterances) -> None:
    responsibility = torch.rand(2, 3)
    alpha_prior = UtteranceAlphaPrior(torch.zeros(2, 1))
    alpha_prior.m_step(dist.Bernoulli(responsibility), utterances)
    logit = alpha_prior.logit[:, :1].clone().requires_grad_()
    log_prior = responsibility * torch.nn.functional.logsigmoid(logit)
    log_prior = log_prior + (1 - responsibility) * torch.nn.functional.logsigmoid(-logit)
    (gradient,) = torch.autograd.grad((log_prior * utterances.mouth_seen).sum(), logit)
    torch.testing.assert_close(gradient, torch.zeros(2, 1), rtol=0, atol=1e-5)


def test_the_m_step_bears_certainty_and_no_video(utterances: Utterances) -> None:
    alpha_prior = UtteranceAlphaPrior(torch.zeros(2, 1))
    for certain in (0.0, 1.0):
        alpha_prior.m_step(dist.Bernoulli(torch.full((2, 3), certain)), utterances)
        assert alpha_prior(utterances).logits.isfinite().all()
    alpha_prior.m_step(dist.Bernoulli(torch.ones(2, 3)), utterances.without_mouth())
    assert (alpha_prior(utterances.without_mouth()).logits == LOGIT_BOUND).all()
