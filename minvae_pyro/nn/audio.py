"""Networks that read or predict one frame of sound: tensors in, parameters of a distribution out."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from minvae_pyro.nn.base import AudioEncoder, Decoder
from minvae_pyro.probability.normals import Gaussian

FREQUENCIES = 513
"""Frequency bins of a 1024-point STFT."""


def log_power(power: Tensor) -> Tensor:
    """Natural logarithm of power, floored 100 dB below unit power."""
    return (power + 1e-10).log()


def plain_power(power: Tensor) -> Tensor:
    """Power as it is, what the published encoders read."""
    return power


PowerTransform = Literal["log_power", "plain_power"]
"""What the first layer of an encoder can read of power."""

POWER_TRANSFORMS = {"log_power": log_power, "plain_power": plain_power}
"""The same as functions."""


def precise(parameter: Tensor) -> Tensor:
    """At least float32, for parameters of distributions: 16 bits, which layers give under autocast, are too few."""
    return parameter.float() if parameter.dtype in (torch.bfloat16, torch.float16) else parameter


class GaussianHead(nn.Module):
    """Mean and standard deviation, (..., latent_dim), from features, (..., features)."""

    def __init__(self, features: int, latent_dim: int) -> None:
        super().__init__()
        self.mean = nn.Linear(features, latent_dim)
        self.log_variance = nn.Linear(features, latent_dim)

    def forward(self, features: Tensor) -> Gaussian:
        """Map (..., features) to mean and standard deviation, each (..., L)."""
        mean, log_variance = precise(self.mean(features)), precise(self.log_variance(features))
        # within the bounds of exp in float32, and wider than any posterior seen
        return mean, (0.5 * log_variance.clamp(-20.0, 10.0)).exp()


class SpectrumEncoder(AudioEncoder):
    """Frame-wise audio encoder: F -> hidden tanh units -> N(mean, scale) of z (arXiv 1912.10647, experiments).

    Args:
        frequencies: F.
        hidden: units of the hidden layer.
        latent_dim: L.
        transform: what the first layer reads; ``log_power`` or ``plain_power`` (the published encoders).
    """

    def __init__(
        self,
        frequencies: int = FREQUENCIES,
        hidden: int = 128,
        latent_dim: int = 32,
        transform: PowerTransform = "log_power",
    ) -> None:
        super().__init__()
        self.transform = POWER_TRANSFORMS[transform]
        self.hidden = nn.Linear(frequencies, hidden)
        self.head = GaussianHead(hidden, latent_dim)

    def forward(self, power: Tensor) -> Gaussian:
        """Map power (..., F) to mean and standard deviation of z, each (..., L)."""
        return self.head(torch.tanh(self.hidden(self.transform(power))))


class ContextEncoder(SpectrumEncoder):
    """Audio encoder that sees the frames around each, through what their own units say.

    It begins as a :class:`SpectrumEncoder`. A frame without any power, as in padding, is not seen by its neighbours.

    Args:
        frequencies: F.
        hidden: units of the hidden layer.
        latent_dim: L.
        transform: what the first layer reads, see :class:`SpectrumEncoder`.
        reach: frames to either side that are seen.
        told: how many numbers a frame tells its neighbours.
    """

    def __init__(
        self,
        frequencies: int = FREQUENCIES,
        hidden: int = 128,
        latent_dim: int = 32,
        transform: PowerTransform = "log_power",
        reach: int = 2,
        told: int = 64,
    ) -> None:
        super().__init__(frequencies, hidden, latent_dim, transform)
        self.tell = nn.Linear(hidden, told)
        self.context = silent(nn.Conv1d(told, hidden, 2 * reach + 1, padding=reach, bias=False))

    def forward(self, power: Tensor) -> Gaussian:
        """Map power (..., N, F) to mean and standard deviation of z, each (..., N, L)."""
        heard = self.hidden(self.transform(power))
        told = self.tell(torch.tanh(heard)) * (power > 0).any(-1, keepdim=True)
        return self.head(torch.tanh(heard + along_frames(self.context, told)))


def along_frames(convolution: nn.Conv1d, frames: Tensor) -> Tensor:
    """A convolution over the frames of (..., N, C), (..., N, C')."""
    flat = convolution(frames.reshape(-1, *frames.shape[-2:]).mT).mT
    return flat.reshape(*frames.shape[:-1], flat.shape[-1])


def silent(convolution: nn.Conv1d) -> nn.Conv1d:
    """The same with weights of zero: it says nothing before it is trained."""
    nn.init.zeros_(convolution.weight)
    return convolution


class SpectrumDecoder(Decoder):
    """Frame-wise decoder: z -> hidden tanh units -> variance of every bin.

    Args:
        latent_dim: L, or L plus the size of what else is given to ``forward``.
        hidden: units of the hidden layer.
        frequencies: F.

    Example:
        >>> SpectrumDecoder(latent_dim=8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 513])
    """

    def __init__(self, latent_dim: int = 32, hidden: int = 128, frequencies: int = FREQUENCIES) -> None:
        super().__init__()
        self.hidden = nn.Linear(latent_dim, hidden)
        self.log_variance = nn.Linear(hidden, frequencies)

    def forward(self, latent: Tensor) -> Tensor:
        """Map z (..., L) to variance (..., F) > 0."""
        log_variance = precise(self.log_variance(torch.tanh(self.hidden(latent))))
        # a clamp whose gradient is one pass over memory
        return nn.functional.hardtanh(log_variance, -25.0, 25.0).exp()


class ContextDecoder(SpectrumDecoder):
    """Decoder whose frames also depend on z of their neighbours: overlapping frames sound much alike.

    ``z[n] + sum over k of W[k] z[n + k]`` takes the place of ``z[n]`` in a :class:`SpectrumDecoder`, as which it
    begins: equation :eq:`context-decoder`. Guides that hold a z for each alpha need frames that do not depend on each
    other's: :func:`minvae_pyro.models.speech_prior.require_own_frames`.

    Args:
        latent_dim: L.
        hidden: units of the hidden layer.
        frequencies: F.
        reach: frames to either side.

    Example:
        >>> ContextDecoder(latent_dim=8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 513])
    """

    def __init__(self, latent_dim: int = 32, hidden: int = 128, frequencies: int = FREQUENCIES, reach: int = 1) -> None:
        super().__init__(latent_dim, hidden, frequencies)
        self.reach = reach
        self.context = silent(nn.Conv1d(latent_dim, latent_dim, 2 * reach + 1, padding=reach, bias=False))

    def forward(self, latent: Tensor) -> Tensor:
        """Map z (..., N, L), zero where there is no frame, to variance (..., N, F) > 0."""
        return super().forward(latent + along_frames(self.context, latent))
