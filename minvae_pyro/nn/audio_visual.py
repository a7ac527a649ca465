"""Networks on sound and features of the mouth, joined after a layer of each (arXiv 1908.02590, section V)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from minvae_pyro.nn.audio import FREQUENCIES, POWER_TRANSFORMS, GaussianHead, PowerTransform, precise
from minvae_pyro.nn.base import AudioVisualDecoder, AudioVisualEncoder, FeatureEncoder
from minvae_pyro.probability.normals import Gaussian


class _Concatenation(nn.Module):
    """tanh(linear(first)) and tanh(linear(second)), concatenated, then tanh(linear)."""

    def __init__(self, first: int, second: int, hidden: int) -> None:
        super().__init__()
        self.first = nn.Linear(first, hidden)
        self.second = nn.Linear(second, hidden)
        self.mix = nn.Linear(2 * hidden, hidden)
        # starts by passing the first input on: with the layers of a network of sound alone it is one from the start
        with torch.no_grad():
            self.mix.weight[:, :hidden] = torch.eye(hidden)
            self.mix.bias.zero_()

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Map (..., first) and (..., second), leading axes broadcasting, to (..., hidden)."""
        one, other = torch.tanh(self.first(first)), torch.tanh(self.second(second))
        # by their tensors: asked for shapes alone, torch imports sympy, a second or two
        return torch.tanh(self.mix(torch.cat(torch.broadcast_tensors(one, other), -1)))


class ConcatenatingEncoder(AudioVisualEncoder):
    """Frame-wise audio-visual encoder: power and features of the mouth -> N(mean, scale) of z.

    Args:
        frequencies: F.
        feature_dim: V, features of the mouth.
        hidden: units of each of the three layers.
        latent_dim: L.
        transform: what the first layer reads of the power; ``log_power`` or ``plain_power``.
    """

    def __init__(
        self,
        frequencies: int = FREQUENCIES,
        feature_dim: int = 32,
        hidden: int = 128,
        latent_dim: int = 32,
        transform: PowerTransform = "log_power",
    ) -> None:
        super().__init__()
        self.transform = POWER_TRANSFORMS[transform]
        self.layers = _Concatenation(frequencies, feature_dim, hidden)
        self.head = GaussianHead(hidden, latent_dim)

    def forward(self, power: Tensor, features: Tensor) -> Gaussian:
        """Map power (..., F) and features (..., V) to mean and standard deviation of z, each (..., L)."""
        return self.head(self.layers(self.transform(power), features))


class ConcatenatingDecoder(AudioVisualDecoder):
    """Frame-wise audio-visual decoder: z and features of the mouth -> variance of every bin.

    Args:
        latent_dim: L.
        feature_dim: V, features of the mouth.
        hidden: units of each of the three layers.
        frequencies: F.
    """

    def __init__(
        self, latent_dim: int = 32, feature_dim: int = 32, hidden: int = 128, frequencies: int = FREQUENCIES
    ) -> None:
        super().__init__()
        self.layers = _Concatenation(latent_dim, feature_dim, hidden)
        self.log_variance = nn.Linear(hidden, frequencies)

    def forward(self, latent: Tensor, features: Tensor) -> Tensor:
        """Map z (..., L) and features (..., V), leading axes broadcasting, to variance (..., F) > 0."""
        return precise(self.log_variance(self.layers(latent, features))).clamp(-25.0, 25.0).exp()


class FeaturePerceptron(FeatureEncoder):
    """Features of the mouth -> N(mean, scale) of z: the network of a conditional prior.

    Args:
        feature_dim: V.
        hidden: tanh units of the hidden layer.
        latent_dim: L.
    """

    def __init__(self, feature_dim: int = 32, hidden: int = 128, latent_dim: int = 32) -> None:
        super().__init__()
        self.hidden = nn.Linear(feature_dim, hidden)
        self.head = GaussianHead(hidden, latent_dim)

    def forward(self, features: Tensor) -> Gaussian:
        """Map features (..., V) to mean and standard deviation of z, each (..., L)."""
        return self.head(torch.tanh(self.hidden(features)))
