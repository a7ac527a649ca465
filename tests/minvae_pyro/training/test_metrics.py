import pytest
import torch

from minvae_pyro.guides import (
    CollapsedResponsibility,
    FixedResponsibility,
    GatedResponsibility,
    MixtureGuide,
    TableResponsibility,
)
from minvae_pyro.models import FixedAlphaPrior, LearntMarkovAlphaPrior, MinVAE
from minvae_pyro.training.metrics import collapsed_when_unknown, mixture_measures, still
from minvae_pyro.utterances import Utterances


@pytest.fixture
def batch():
    """Two utterances of ten frames: the second has noise, and has no mouth in its first half."""
    utterances = Utterances.from_spectrum(torch.rand(2, 10, 513), torch.rand(2, 10, 67, 67))
    noisy, seen = utterances.noisy_power.clone(), utterances.mouth_seen.clone()
    noisy[1] += 5
    seen[1, :5] = False
    return utterances.replace(noisy_power=noisy, mouth_seen=seen)


def test_means_are_over_the_frames_they_are_named_after(batch):
    guide = MixtureGuide(MinVAE(alpha_prior=FixedAlphaPrior(0.3)), responsibility=FixedResponsibility(0.8)).eval()
    torch.manual_seed(0)
    measures = mixture_measures(guide, batch)
    counts = {name: frames for name, (_, frames) in measures.items()}
    assert counts == {"pi": 15, "r_clean": 10, "r_noisy": 5, "L_a_clean": 10, "L_a_noisy": 10, "L_v": 15}
    assert measures["pi"][0] == pytest.approx(0.3)
    assert measures["r_clean"][0] == pytest.approx(0.8)
    assert measures["r_noisy"][0] == pytest.approx(0.8)


def test_responsibility_and_bounds_belong_together(batch):
    guide = MixtureGuide(MinVAE(alpha_prior=FixedAlphaPrior(0.5)), responsibility=CollapsedResponsibility()).eval()
    one = batch.replace(mouth_seen=torch.ones_like(batch.mouth_seen))
    frame = Utterances.from_spectrum(one.spectrum[:1, :1], one.mouth[:1, :1])
    measures = {name: float(value) for name, (value, _) in mixture_measures(guide, frame).items()}
    gap = measures["L_a_clean"] - measures["L_v"]
    assert measures["r_clean"] == pytest.approx(torch.tensor(gap).clamp(-30, 30).sigmoid().item(), rel=1e-4)


R = {"r_clean", "r_noisy"}


@pytest.mark.parametrize(
    ("alpha_prior", "responsibility", "expected"),
    [
        (FixedAlphaPrior(), FixedResponsibility(), {"pi"} | R),
        (FixedAlphaPrior(), GatedResponsibility(), {"pi"}),
        (FixedAlphaPrior(), CollapsedResponsibility(), {"pi"}),
        (None, FixedResponsibility(), R),
        (LearntMarkovAlphaPrior(), TableResponsibility(1, 1), set()),
    ],
)
def test_what_training_cannot_move_is_known(alpha_prior, responsibility, expected):
    prior = MinVAE(alpha_prior=alpha_prior)
    assert still(prior, MixtureGuide(prior, responsibility=responsibility)) == expected


def test_a_frozen_pi_does_not_move():
    prior = MinVAE()
    prior.alpha_prior.requires_grad_(False)
    assert still(prior, MixtureGuide(prior)) == {"pi"}


def test_nothing_to_measure_counts_nothing(batch):
    guide = MixtureGuide(MinVAE()).eval()
    measures = mixture_measures(guide, batch.without_mouth())
    assert measures["L_v"] == (0, 0)
    assert measures["pi"][1] == 0


def test_the_closed_form_stands_in_for_a_table_only():
    guide = MixtureGuide(MinVAE(), responsibility=TableResponsibility(1, 1))
    table = guide.responsibility
    with collapsed_when_unknown(guide):
        assert isinstance(guide.responsibility, CollapsedResponsibility)
    assert guide.responsibility is table
    fixed = MixtureGuide(MinVAE(), responsibility=FixedResponsibility())
    with collapsed_when_unknown(fixed):
        assert isinstance(fixed.responsibility, FixedResponsibility)
