"""Networks that read the mouth."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from minvae_pyro.nn.audio import GaussianHead
from minvae_pyro.nn.base import VisualEncoder
from minvae_pyro.probability.normals import Gaussian
from minvae_pyro.utterances import MOUTH_SIZE


class MouthPerceptron(VisualEncoder):
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
        """Map crops (B, N, 67, 67) to mean and standard deviation of z, each (B, N, L); ``mouth_seen`` is not read."""
        return self.head(self.layers(mouth.flatten(-2)))


class MouthConvolution(VisualEncoder):
    """Small convolutional visual encoder over several frames.

    Crops are shrunk and normalised by the mean picture and the standard deviation of their clip, which removes the
    talker's skin, beard and light; then three stride-two 2-D convolutions per frame and two 1-D convolutions over time,
    13 frames in all: a single picture predicts little of the sound.

    Args:
        channels: of the three 2-D convolutions.
        features: of the 1-D convolutions.
        latent_dim: L.
        size: side in pixels to which crops are shrunk.
        kernel: frames that each of the two temporal convolutions spans.
        dropout: rate before the temporal convolutions.
        every: one frame of so many is looked at, and what lies between is interpolated: with a short hop neighbouring
            frames have the same picture.
    """

    def __init__(
        self,
        channels: tuple[int, int, int] = (16, 32, 48),
        features: int = 96,
        latent_dim: int = 32,
        size: int = 32,
        kernel: int = 7,
        dropout: float = 0.2,
        every: int = 1,
    ) -> None:
        super().__init__()
        if every < 1:
            raise ValueError(f"a mouth network looks at one frame of at least 1, not of {every}")
        self.size = size
        self.every = every
        layers: list[nn.Module] = []
        side = size
        for before, after in pairwise((1, *channels)):
            convolution = nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(after), nn.ReLU()]
            side = (side + 1) // 2
        self.picture = nn.Sequential(*layers)
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
        """Mean and scale of z, each (B, N, L); frames without a mouth enter as the clip's mean picture."""
        all_frames = mouth.shape[1]
        mouth, seen = mouth[:, :: self.every], mouth_seen[:, :: self.every]
        size, frames = mouth.shape[:2]
        pictures = normalise_clip(shrink(mouth, self.size), seen)
        features = self.picture(pictures.reshape(size * frames, 1, self.size, self.size))
        features = self.squeeze(features.flatten(1)).relu().reshape(size, frames, -1)
        features = (features * seen[..., None]).transpose(1, 2)
        # the clip ends with its last seen frame: what the first convolution makes of frames behind it is not for the
        # second, or the result would depend on padding
        second, within = 4, until_last(seen)
        features = self.time[:second](features) * within[:, None]
        features = self.time[second:](features).transpose(1, 2)
        return self.head(features if self.every == 1 else _between(features, within, self.every, all_frames))


def _between(features: Tensor, within: Tensor, every: int, frames: int) -> Tensor:
    """Features (B, M, C) of one frame in ``every`` interpolated to all, (B, N, C); past the last one they stay."""
    place = torch.arange(frames, device=features.device)
    before = place // every
    after = (before + 1).clamp_max(features.shape[1] - 1)
    share = ((place % every) / every).to(features.dtype)[:, None] * within[:, after, None]
    return features[:, before] * (1 - share) + features[:, after] * share


def until_last(counts: Tensor) -> Tensor:
    """Frames up to the last one that counts, (B, N) bool: those behind it are as good as padding."""
    return counts.flip(-1).cumsum(-1).flip(-1) > 0


def shrink(mouth: Tensor, size: int) -> Tensor:
    """Shrink crops (B, N, H, W) to (B, N, size, size) by averaging areas."""
    return torch.nn.functional.adaptive_avg_pool2d(mouth, (size, size))


def normalise_clip(pictures: Tensor, seen: Tensor) -> Tensor:
    """Subtract the clip's mean picture and divide by its standard deviation around it, (B, N, H, W).

    Args:
        pictures: (B, N, H, W).
        seen: (B, N) bool; frames that count. Others become zero, and so does a clip without any or without motion.
    """
    weight = seen[..., None, None].to(pictures.dtype)
    count = weight.sum(1, keepdim=True).clamp_min(1.0)
    centred = (pictures - (pictures * weight).sum(1, keepdim=True) / count) * weight
    variance = centred.square().sum((1, 2, 3), keepdim=True) / (count * pictures[0, 0].numel())
    # a still clip has no scale of its own: the floor is a thousandth of the grey range
    return centred / (variance.sqrt() + 1e-3)
