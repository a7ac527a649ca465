"""Adam for inference: what :class:`torch.optim.Adam` does, without the compiler that its first use imports."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.adam import adam


class Adam:
    """Climbs by the gradients that it is given, in place (Kingma & Ba, arXiv 1412.6980).

    The optimizer of torch imports ``torch._dynamo`` when the first one is made: more than a second, as long as all the
    rest of the enhancement of a sentence.

    Args:
        parameters: to be changed.
        betas: memory of the gradients and of their squares.
    """

    def __init__(self, parameters: Sequence[Tensor], betas: tuple[float, float] = (0.9, 0.999)) -> None:
        self.parameters = list(parameters)
        self.betas = betas
        self.first = [torch.zeros_like(one) for one in self.parameters]
        self.second = [torch.zeros_like(one) for one in self.parameters]
        self.steps = [torch.zeros((), dtype=torch.float32, device=one.device) for one in self.parameters]

    @torch.no_grad()
    def climb(self, gradients: Sequence[Tensor], rate: float) -> None:
        """One step up, of length ``rate`` at first."""
        adam(
            self.parameters,
            list(gradients),
            self.first,
            self.second,
            [],
            self.steps,
            fused=True,
            amsgrad=False,
            beta1=self.betas[0],
            beta2=self.betas[1],
            lr=rate,
            weight_decay=0.0,
            eps=1e-8,
            maximize=True,
        )
