"""A model may be no larger than its weights, and memory is not taken to find out."""

import pytest
import torch
from torch import nn

from minvae_pyro.checkpoints.allowance import Allowance


def test_a_model_of_the_size_of_its_weights_is_made() -> None:
    with Allowance(40 * 50 + 50) as allowance:
        layer = nn.Linear(40, 50)
    assert not allowance.exceeded
    assert layer.weight.shape == (50, 40)


@pytest.mark.parametrize(
    "ask",
    [
        lambda: nn.Linear(10**6, 10**6),
        lambda: torch.zeros(10**12),
        lambda: torch.empty((10**6, 10**6)),
        lambda: torch.ones(size=(10**12,)),
        lambda: torch.arange(10**12),
        lambda: torch.eye(10**6),
        lambda: torch.linspace(0, 1, 10**12),
        lambda: [torch.zeros(400_000) for _ in range(10)],
    ],
)
def test_more_is_refused_before_it_is_taken(ask) -> None:
    with Allowance(100) as allowance, pytest.raises(ValueError, match="larger than the weights"):
        ask()
    assert allowance.exceeded


def test_afterwards_everything_may_be_made_again() -> None:
    with Allowance(0):
        pass
    assert torch.zeros(2_000_000).numel() == 2_000_000
