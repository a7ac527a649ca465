"""What a prior sees of the mouth: features that its decoder, or its prior of z, is given."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from minvae_pyro.models.speech_prior import Module, SpeechPrior, shallow_copy
from minvae_pyro.models.z_priors import ZPrior
from minvae_pyro.nn.base import AudioVisualDecoder, FeatureEncoder, VisualEncoder, VisualFeatures
from minvae_pyro.nn.visual import MouthConvolution
from minvae_pyro.probability.normals import Gaussian
from minvae_pyro.utterances import Utterances


class MouthFeatures(VisualFeatures):
    """Features of the mouth: the mean that a mouth network gives, zero where no mouth was seen.

    A network trained to predict z from the mouth has in that mean what the mouth says of the sound.

    Args:
        network: maps crops (B, N, 67, 67) and ``mouth_seen`` (B, N) to mean and scale, each (B, N, V).
    """

    def __init__(self, network: VisualEncoder | None = None) -> None:
        super().__init__()
        self.network = MouthConvolution() if network is None else network

    def forward(self, utterances: Utterances) -> Tensor:
        """Features, (B, N, V)."""
        mean, _ = utterances.seen_by(self.network)
        return torch.where(utterances.mouth_seen[..., None], mean, 0.0)


class MissingFeatures(VisualFeatures):
    """Stands in for a network on the mouth that is not there: no frame has features.

    Args:
        feature_dim: V.
    """

    def __init__(self, feature_dim: int = 32) -> None:
        super().__init__()
        self.feature_dim = feature_dim

    def forward(self, utterances: Utterances) -> Tensor:
        """Zeros, (B, N, V)."""
        return utterances.noisy_power.new_zeros(*utterances.mask.shape, self.feature_dim)


class GivenFeatures(VisualFeatures):
    """Features worked out beforehand for one batch.

    Args:
        features: (B, N, V), zero where no mouth was seen.
    """

    features: Tensor

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.register_buffer("features", features)

    def forward(self, utterances: Utterances) -> Tensor:
        """Features as given."""
        return self.features


class FeatureComponent(ZPrior):
    """A component of the prior of z that is told the features of the mouth: the prior of AV-CVAE (arXiv 1908.02590).

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


class LookingPrior(SpeechPrior):
    """A prior that looks at the mouth once in a run of its story, however often it asks what is seen there.

    It stands before the class that tells the story: ``class MinVAEv2(LookingPrior, MinVAE)``.
    """

    def looking(self, utterances: Utterances) -> Self:
        """The same prior with all that it sees of these mouths worked out, differentiable."""
        raise NotImplementedError(f"{type(self).__name__} must say what it sees of the mouth")

    def forward(self, utterances: Utterances) -> Tensor:
        """Run the generative story and observe clean speech at site ``s``."""
        return super(LookingPrior, self.looking(utterances)).forward(utterances)

    def condition_on(self, utterances: Utterances) -> Self:
        """The same prior with whatever depends on the mouth alone worked out once for these utterances."""
        with torch.no_grad():
            return super(LookingPrior, self.looking(utterances)).condition_on(utterances)


class FeaturePrior(LookingPrior):
    """A prior whose decoder sees the mouth: s | z, v ~ N_c(0, diag variance(z, v)).

    Attributes:
        visual_features: maps utterances to features (B, N, V).
        decoder: maps z (..., B, N, L) and features (B, N, V) to variance (..., B, N, F).
    """

    visual_features: VisualFeatures
    decoder: AudioVisualDecoder

    def speech_variance(self, z: Tensor, utterances: Utterances) -> Tensor:
        """Variance of speech (..., B, N, F) from z (..., B, N, L) and the mouth."""
        return self.decoder(z, self.visual_features(utterances))

    def looking(self, utterances: Utterances) -> Self:
        """The same prior with its features of these mouths worked out, differentiable."""
        return exchanged(self, self.visual_features, GivenFeatures(self.visual_features(utterances)))


def exchanged(whole: Module, old: nn.Module, new: nn.Module) -> Module:
    """A copy that shares every part but one, which is another wherever it occurs."""
    twin = shallow_copy(whole)
    for name, part in whole.named_children():
        if part is old:
            twin._modules[name] = new
        elif any(inner is old for inner in part.modules()):
            twin._modules[name] = exchanged(part, old, new)
    return twin
