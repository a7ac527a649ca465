"""Priors of z under one value of the mixture variable alpha."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from minvae_pyro.models.speech_prior import SpeechPrior, shallow_copy
from minvae_pyro.nn.base import VisualEncoder
from minvae_pyro.nn.cached import Precomputed
from minvae_pyro.nn.visual import MouthConvolution
from minvae_pyro.probability.normals import Gaussian
from minvae_pyro.probability.parameters import AbstractModule
from minvae_pyro.utterances import Utterances


class ZPrior(AbstractModule):
    """p(z | alpha) under one value of alpha, a diagonal normal in every frame."""

    @abstractmethod
    def forward(self, utterances: Utterances) -> Gaussian:
        """Mean and scale, each broadcasting to (B, N, L)."""

    def condition_on(self, utterances: Utterances) -> Precomputed:
        """Mean and scale of these utterances."""
        return Precomputed(self(utterances))


class ConstantComponent(ZPrior):
    """The published component: one learnt normal for every frame, N(mu, var I) (arXiv 1912.10647).

    Args:
        latent_dim: L.
    """

    def __init__(self, latent_dim: int = 32) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(latent_dim))
        self.log_scale = nn.Parameter(torch.zeros(()))

    def forward(self, utterances: Utterances) -> Gaussian:
        """Mean and scale, each (L,)."""
        return self.mean, self.log_scale.exp().expand_as(self.mean)


class StandardComponent(ZPrior):
    """The standard normal, N(0, I): the prior of every VAE.

    Args:
        latent_dim: L.
    """

    mean: Tensor

    def __init__(self, latent_dim: int = 32) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(latent_dim), persistent=False)

    def forward(self, utterances: Utterances) -> Gaussian:
        """Mean and scale, each (L,)."""
        return self.mean, torch.ones_like(self.mean)


class ConditionalComponent(ZPrior):
    """A component that depends on the mouth, N(mu(mouth), var(mouth)): AV-CVAE's prior (arXiv 1908.02590).

    Frames without a mouth fall back to the standard normal.

    Args:
        network: maps crops (B, N, 67, 67) and ``mouth_seen`` (B, N) to mean and scale, each (B, N, L).
    """

    def __init__(self, network: VisualEncoder | None = None) -> None:
        super().__init__()
        self.network = MouthConvolution() if network is None else network

    def forward(self, utterances: Utterances) -> Gaussian:
        """Mean and scale, each (B, N, L)."""
        seen = utterances.mouth_seen[..., None]
        mean, scale = utterances.encode_mouth(self.network)
        return torch.where(seen, mean, 0.0), torch.where(seen, scale, 1.0)


class SharpenedComponent(ZPrior):
    """A component with its variance multiplied by a temperature. Equation :eq:`sharpened-component`.

    Below one it trusts the mean more than training does. Frames without a mouth stay as they are.

    Args:
        component: any component.
        temperature: tau > 0.
    """

    def __init__(self, component: ZPrior, temperature: float) -> None:
        super().__init__()
        self.component = component
        self.temperature = temperature

    def forward(self, utterances: Utterances) -> Gaussian:
        """Mean, (B, N, L) or (L,), and scale, (B, N, L), of the sharpened component."""
        mean, scale = self.component(utterances)
        return mean, torch.where(utterances.mouth_seen[..., None], scale * self.temperature**0.5, scale)


def sharpen(prior: SpeechPrior, temperature: float) -> SpeechPrior:
    """A copy of the prior with its visual component sharpened (:class:`SharpenedComponent`); itself without one."""
    component = getattr(prior, "visual_component", None)
    if component is None:
        return prior
    sharpened = shallow_copy(prior)
    sharpened.visual_component = SharpenedComponent(component, temperature)
    return sharpened
