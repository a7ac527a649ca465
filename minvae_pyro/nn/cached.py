"""One look at the mouth for all who ask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

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


@dataclass
class OnceSeen(Utterances):
    """A batch at whose mouth each network looks once, however many parts of prior and guide ask what it sees there.

    An answer is given again as long as no gradient is asked for, the network is not in training, and its weights and
    the mouth are what they were. A copy with other fields (:meth:`replace`) knows of none.
    """

    def __post_init__(self) -> None:
        self._seen: dict[nn.Module, tuple[list[tuple[Tensor, int]], tuple[Tensor, Tensor]]] = {}

    def seen_by(self, network: nn.Module) -> tuple[Tensor, Tensor]:
        """What a network makes of the mouth, see :meth:`Utterances.seen_by`."""
        if torch.is_grad_enabled() or network.training:
            return super().seen_by(network)
        answer = self._known(network)
        if answer is None:
            answer = super().seen_by(network)
            self._seen[network] = self._state(network), answer
        return answer

    def one_by_one(self) -> list[Self]:
        """Batches of one utterance each, padding kept, that know what was seen of them."""
        parts = super().one_by_one()
        for network in self._seen:
            answer = self._known(network)
            if answer is not None:
                for row, part in enumerate(parts):
                    part._seen[network] = part._state(network), (answer[0][[row]], answer[1][[row]])
        return parts

    def _known(self, network: nn.Module) -> tuple[Tensor, Tensor] | None:
        """What a network has said, unless something has changed since."""
        before, answer = self._seen.get(network, ([], None))
        now = self._state(network)
        same = len(before) == len(now) and all(
            one is other and version == later for (one, version), (other, later) in zip(before, now, strict=True)
        )
        return answer if same else None

    def _state(self, network: nn.Module) -> list[tuple[Tensor, int]]:
        """All that an answer depends on, each tensor with the number of times that it was written to."""
        return [
            (part, part._version) for part in (self.mouth, self.mouth_seen, *network.parameters(), *network.buffers())
        ]
