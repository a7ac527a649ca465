"""One look at the mouth in a step of training, its gradient included."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from minvae_pyro.utterances import Utterances


@dataclass
class LookedAt(Utterances):
    """A batch at whose mouth each network looks once in a step, however many parts of guide and prior ask it.

    All of them share what was dropped out, and statistics of batches are taken once. Those who ask without a gradient
    get the same answer, detached. For one step: weights must not change meanwhile.
    """

    def __post_init__(self) -> None:
        self._answers: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def seen_by(self, network: nn.Module) -> tuple[Tensor, Tensor]:
        """What a network makes of the mouth, see :meth:`Utterances.seen_by`."""
        if network not in self._answers:
            with torch.enable_grad():  # the first who asks may want none, and the next one may
                self._answers[network] = super().seen_by(network)
        mean, scale = self._answers[network]
        return (mean, scale) if torch.is_grad_enabled() else (mean.detach(), scale.detach())
