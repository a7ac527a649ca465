"""Networks: maps from tensors to the parameters of distributions, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from minvae_pyro.utterances import MOUTH_SIZE

FREQUENCIES = 513
"""Frequency bins of a 1024-point STFT."""

Gaussian = tuple[Tensor, Tensor]
"""Mean and standard deviation of a diagonal normal, each (B, N, L)."""


def log_power(power: Tensor) -> Tensor:
    """Natural logarithm of power, floored 100 dB below unit power."""
    return (power + 1e-10).log()


def plain_power(power: Tensor) -> Tensor:
    """Power as it is, what the published encoders read."""
    return power


def precise(parameter: Tensor) -> Tensor:
    """At least float32, for parameters of distributions: 16 bits, which layers give under autocast, are too few."""
    return parameter.float() if parameter.dtype in (torch.bfloat16, torch.float16) else parameter


class GaussianHead(nn.Module):
    """Mean and standard deviation from features.

    Args:
        features: size of the last axis of the input.
        latent_dim: L.
    """

    def __init__(self, features: int, latent_dim: int) -> None:
        super().__init__()
        self.mean = nn.Linear(features, latent_dim)
        self.log_variance = nn.Linear(features, latent_dim)

    def forward(self, features: Tensor) -> Gaussian:
        """Map (..., features) to mean and standard deviation, each (..., L)."""
        mean, log_variance = precise(self.mean(features)), precise(self.log_variance(features))
        # within the bounds of exp in float32, and wider than any posterior seen
        return mean, (0.5 * log_variance.clamp(-20.0, 10.0)).exp()


class SpectrumEncoder(nn.Module):
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
        transform: Callable[[Tensor], Tensor] = log_power,
    ) -> None:
        super().__init__()
        self.transform = transform
        self.hidden = nn.Linear(frequencies, hidden)
        self.head = GaussianHead(hidden, latent_dim)

    def forward(self, power: Tensor) -> Gaussian:
        """Map power (..., F) to mean and standard deviation of z, each (..., L)."""
        return self.head(torch.tanh(self.hidden(self.transform(power))))


class SpectrumDecoder(nn.Module):
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


class MouthPerceptron(nn.Module):
    """The published visual encoder: raw pixels of one frame, 4489 -> 512 -> 128 -> N(mean, scale) of z.

    Args:
        hidden: units of the two hidden layers.
        latent_dim: L.
    """

    def __init__(self, hidden: tuple[int, int] = (512, 128), latent_dim: int = 32) -> None:
        super().__init__()
        first, second = hidden
        self.layers = nn.Sequential(
            nn.Linear(MOUTH_SIZE * MOUTH_SIZE, first), nn.Tanh(), nn.Linear(first, second), nn.Tanh()
        )
        self.head = GaussianHead(second, latent_dim)

    def forward(self, mouth: Tensor, mouth_seen: Tensor) -> Gaussian:
        """Map crops (B, N, 67, 67) to mean and standard deviation of z, each (B, N, L).

        Args:
            mouth: crops in [0, 1].
            mouth_seen: (B, N) bool; not read, frames are taken one by one.
        """
        return self.head(self.layers(mouth.flatten(-2)))


class MouthConvolution(nn.Module):
    """Small convolutional visual encoder over several frames.

    Crops are shrunk and normalised by the mean picture and the standard deviation of their own clip, which
    removes the talker's skin, beard and light; then three stride-two 2-D convolutions per frame and two 1-D
    convolutions over time, 13 frames in all: a single picture says little about sound, lips move.

    Args:
        channels: of the three 2-D convolutions.
        features: of the 1-D convolutions.
        latent_dim: L.
        size: side in pixels to which crops are shrunk.
        kernel: frames that each of the two temporal convolutions spans.
        dropout: rate before the temporal convolutions.
    """

    def __init__(
        self,
        channels: tuple[int, int, int] = (16, 32, 48),
        features: int = 96,
        latent_dim: int = 32,
        size: int = 32,
        kernel: int = 7,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.size = size
        layers: list[nn.Module] = []
        for before, after in zip((1, *channels[:-1]), channels, strict=True):
            layers += [
                nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
        self.picture = nn.Sequential(*layers)
        side = size
        for _ in channels:
            side = (side + 1) // 2
        self.squeeze = nn.Linear(channels[-1] * side * side, features)
        self.time = nn.Sequential(
            nn.Dropout(dropout),
            nn.Conv1d(features, features, kernel, padding=kernel // 2),
            nn.BatchNorm1d(features),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Conv1d(features, features, kernel, padding=kernel // 2),
            nn.ReLU(),
        )
        self.head = GaussianHead(features, latent_dim)

    def forward(self, mouth: Tensor, mouth_seen: Tensor) -> Gaussian:
        """Map crops (B, N, 67, 67) to mean and standard deviation of z, each (B, N, L).

        Args:
            mouth: crops in [0, 1].
            mouth_seen: (B, N) bool; unseen frames enter as the clip's mean picture.
        """
        size, frames = mouth.shape[:2]
        pictures = normalise_clip(shrink(mouth, self.size), mouth_seen)
        features = self.picture(pictures.reshape(size * frames, 1, self.size, self.size))
        features = self.squeeze(features.flatten(1)).relu().reshape(size, frames, -1)
        features = (features * mouth_seen[..., None]).transpose(1, 2)
        # the clip ends with its last seen frame: what the first convolution makes of frames behind it is not for the
        # second, or padding would tell
        second = 4
        features = self.time[:second](features) * until_last(mouth_seen)[:, None]
        return self.head(self.time[second:](features).transpose(1, 2))


def until_last(counts: Tensor) -> Tensor:
    """Frames up to the last one that counts, (B, N) bool: those behind it are as good as padding.

    Args:
        counts: (B, N) bool.
    """
    return counts.flip(-1).cumsum(-1).flip(-1) > 0


def shrink(mouth: Tensor, size: int) -> Tensor:
    """Shrink crops (B, N, H, W) to (B, N, size, size) by averaging areas."""
    return torch.nn.functional.adaptive_avg_pool2d(mouth, (size, size))


def normalise_clip(pictures: Tensor, seen: Tensor) -> Tensor:
    """Subtract the clip's mean picture and divide by the clip's standard deviation around it.

    Args:
        pictures: (B, N, H, W).
        seen: (B, N) bool; frames that count. Others become zero.

    Returns:
        Tensor: (B, N, H, W), all zero for a clip without a seen frame or without motion.
    """
    weight = seen[..., None, None].to(pictures.dtype)
    count = weight.sum(1, keepdim=True).clamp_min(1.0)
    centred = (pictures - (pictures * weight).sum(1, keepdim=True) / count) * weight
    variance = centred.square().sum((1, 2, 3), keepdim=True) / (count * pictures[0, 0].numel())
    # a still clip has no scale of its own: the floor is a thousandth of the grey range
    return centred / (variance.sqrt() + 1e-3)
