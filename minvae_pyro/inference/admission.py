"""How much of a recording passes whatever the prior thinks of it."""

from __future__ import annotations

import torch
from torch import Tensor

from minvae_pyro.utterances import Utterances


@torch.no_grad()
def admit(gain: Tensor, utterances: Utterances, unexplained: float) -> Tensor:
    """Let as much of the recording through as the prior may be wrong about. Equation :eq:`admitted-gain`.

    Estimate and recording both differ from the speech: the one by what the prior cannot explain of a voice, the other
    by the noise. Weighed by their precisions they make the best of both: of a noisy recording the estimate, and where
    there is less noise than error the recording as it came.

    Args:
        gain: (B, N, F), of the prior as it is.
        utterances: the noisy batch.
        unexplained: power of the error, as a share of the speech's.
    """
    if unexplained == 0:
        return gain
    power = utterances.power * utterances.mask[..., None]
    error = unexplained * (gain.square() * power).sum((1, 2), keepdim=True)
    noise = ((1 - gain).square() * power).sum((1, 2), keepdim=True)
    share = error / (error + noise).clamp_min(torch.finfo(power.dtype).tiny)
    return gain + share * (1 - gain)
