"""Features of the mouth, and the prior of z that is conditional on them."""

from __future__ import annotations

import torch
from torch import Tensor

from minvae_pyro.models.z_priors import ZPrior
from minvae_pyro.nn.base import FeatureEncoder, VisualEncoder, VisualFeatures
from minvae_pyro.nn.visual import MouthConvolution
from minvae_pyro.probability.normals import Gaussian
from minvae_pyro.utterances import Utterances


class MouthFeatures(VisualFeatures):
    """Features of the mouth: the mean that a mouth network predicts, zero in frames without a mouth.

    Args:
        network: maps crops (B, N, 67, 67) and ``mouth_seen`` (B, N) to mean and scale, each (B, N, V).
    """

    def __init__(self, network: VisualEncoder | None = None) -> None:
        super().__init__()
        self.network = MouthConvolution() if network is None else network

    def forward(self, utterances: Utterances) -> Tensor:
        """Features, (B, N, V)."""
        mean, _ = utterances.encode_mouth(self.network)
        return torch.where(utterances.mouth_seen[..., None], mean, 0.0)


class MissingFeatures(VisualFeatures):
    """Stands in for a missing network on the mouth: features that are zero in every frame.

    Args:
        feature_dim: V.
    """

    def __init__(self, feature_dim: int = 32) -> None:
        super().__init__()
        self.feature_dim = feature_dim

    def forward(self, utterances: Utterances) -> Tensor:
        """Zeros, (B, N, V)."""
        return utterances.noisy_power.new_zeros(*utterances.mask.shape, self.feature_dim)


class FeatureComponent(ZPrior):
    """A component of the prior of z that depends on features of the mouth: the prior of AV-CVAE (arXiv 1908.02590).

    Frames without features, which are all zero, fall back to the standard normal.

    Args:
        visual_features: maps utterances to features (B, N, V).
        network: maps features to mean and scale, each (B, N, L).
    """

    def __init__(self, visual_features: VisualFeatures, network: FeatureEncoder) -> None:
        super().__init__()
        self.visual_features = visual_features
        self.network = network

    def forward(self, utterances: Utterances) -> Gaussian:
        """Mean and scale, each (B, N, L)."""
        features = self.visual_features(utterances)
        seen = (features != 0).any(-1, keepdim=True)
        mean, scale = self.network(features)
        return torch.where(seen, mean, 0.0), torch.where(seen, scale, 1.0)
