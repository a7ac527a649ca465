"""Outputs of networks on the mouth, computed once for all callers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from minvae_pyro.probability.normals import Gaussian
from minvae_pyro.utterances import Utterances

_State = list[tuple[Tensor, int]]
"""All that an answer depends on, each tensor with the number of times that it was written to."""


@dataclass
class CachedUtterances(Utterances):
    """A batch whose mouths each network encodes once, however many parts of prior and guide need it.

    An answer holds as long as the weights of the network and the mouths stay the same. Made where gradients are on, as
    in training, answers are differentiable, share one dropout mask, and update batch statistics once; a caller without
    gradients gets the same answer, detached. Made where gradients are off, answers are constants: where a gradient is
    wanted, or the network is in training mode, it runs anew. A copy with other fields (:meth:`replace`) has no answers.
    """

    def __post_init__(self) -> None:
        self._differentiable = torch.is_grad_enabled()
        self._answers: dict[nn.Module, tuple[_State, Gaussian]] = {}

    @classmethod
    def of(cls, utterances: Utterances) -> Self:
        """The same batch; one that is cached already as it is."""
        return utterances if isinstance(utterances, cls) else super().of(utterances)

    def encode_mouth(self, network: nn.Module) -> Gaussian:
        """What a network makes of the mouth, see :meth:`Utterances.encode_mouth`."""
        if not self._differentiable and (network.training or _wants_gradient(network)):
            return super().encode_mouth(network)
        answer = self._known(network)
        if answer is None:
            # the first who asks may want no gradient, and the next one may
            with torch.set_grad_enabled(self._differentiable):
                answer = super().encode_mouth(network)
            self._answers[network] = self._state(network), answer
        mean, scale = answer
        return (mean, scale) if torch.is_grad_enabled() else (mean.detach(), scale.detach())

    def one_by_one(self) -> list[Self]:
        """Batches of one utterance each, padding kept, with the answers of this one."""
        parts = super().one_by_one()
        for network in self._answers:
            answer = self._known(network)
            if answer is not None:
                for row, part in enumerate(parts):
                    part._answers[network] = part._state(network), (answer[0][[row]], answer[1][[row]])
        return parts

    def _known(self, network: nn.Module) -> Gaussian | None:
        """The stored answer of a network, unless something has changed since."""
        before, answer = self._answers.get(network, ([], None))
        now = self._state(network)
        same = len(before) == len(now) and all(
            one is other and version == later for (one, version), (other, later) in zip(before, now, strict=True)
        )
        return answer if same else None

    def _state(self, network: nn.Module) -> _State:
        return [
            (part, part._version) for part in (self.mouth, self.mouth_seen, *network.parameters(), *network.buffers())
        ]


def _wants_gradient(network: nn.Module) -> bool:
    return torch.is_grad_enabled() and any(parameter.requires_grad for parameter in network.parameters())


class Precomputed(nn.Module):
    """Stands in for a part that maps utterances to tensors: its answer for one batch, one tensor or several."""

    def __init__(self, answer: Tensor | Gaussian) -> None:
        super().__init__()
        self.single = isinstance(answer, Tensor)
        for number, part in enumerate((answer,) if isinstance(answer, Tensor) else answer):
            self.register_buffer(str(number), part, persistent=False)

    def forward(self, utterances: Utterances) -> Tensor | Gaussian:
        """The answer, whatever the utterances."""
        if self.single:
            return next(self.buffers())
        mean, scale = self.buffers()
        return mean, scale

    def condition_on(self, utterances: Utterances) -> Precomputed:
        """Itself: there is nothing left to work out."""
        return self
