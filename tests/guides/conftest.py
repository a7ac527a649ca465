"""A small world in float64: utterances of every shape that may go wrong, priors and guides with tiny networks."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from minvae_pyro.guides import (
    CollapsedResponsibility,
    FixedResponsibility,
    GatedResponsibility,
    MixtureGuide,
    MouthEncoder,
    NoisyAudioEncoder,
    Responsibility,
    SharedGuide,
    TableResponsibility,
)
from minvae_pyro.guides.encoders import CleanAudioEncoder
from minvae_pyro.models import ConditionalMinVAE, MinVAE
from minvae_pyro.nn.audio import SpectrumDecoder, SpectrumEncoder
from minvae_pyro.nn.visual import MouthPerceptron
from minvae_pyro.utterances import Utterances

LATENT, FREQUENCIES = 3, 5


class LinearGate(nn.Module):
    """The smallest gate: a linear map of everything that a gate may look at."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * FREQUENCIES + 2 * LATENT, 1)

    def forward(self, heard: Tensor, predicted: Tensor, seen: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        return self.linear(torch.cat([heard, predicted.log(), *seen], -1)).squeeze(-1)


RULES: dict[str, Callable[[], Responsibility]] = {
    "collapsed": CollapsedResponsibility,
    "table": lambda: TableResponsibility(7, 4, weight=0.3),
    "fixed": lambda: FixedResponsibility(0.2),
    "gated": lambda: GatedResponsibility(LinearGate()),
}


def encoder() -> SpectrumEncoder:
    return SpectrumEncoder(FREQUENCIES, 4, LATENT)


def perceptron() -> MouthPerceptron:
    return MouthPerceptron((4, 4), LATENT)


def scatter(module: nn.Module, spread: float = 0.3) -> None:
    """Random weights, so that no two parts are alike by their initial values."""
    for parameter in module.parameters():
        parameter.data = parameter.data + spread * torch.randn_like(parameter.data)


@dataclass(frozen=True)
class World:
    """What the tests of guides build."""

    latent: int = LATENT
    frequencies: int = FREQUENCIES

    def batch(self, size: int = 2, frames: int = 2, *, noisy: bool = True, complex_values: bool = False) -> Utterances:
        """Utterances; rows of the corpus are out of order, and what is heard is not what is scored."""
        spectrum = torch.randn(size, frames, FREQUENCIES, dtype=torch.complex128)
        mouth = torch.rand(size, frames, 67, 67, dtype=torch.float64)
        batch = Utterances.from_spectrum(spectrum if complex_values else spectrum.abs().square(), mouth)
        heard = batch.noisy_power + torch.rand_like(batch.noisy_power) if noisy else batch.noisy_power
        return batch.replace(noisy_power=heard, index=torch.tensor([5, 2, 0])[:size])

    def with_gaps(self, batch: Utterances) -> Utterances:
        """The last frame of the last utterance padded, the first frame of the first without a mouth."""
        mask, seen = batch.mask.clone(), batch.mouth_seen.clone()
        seen[0, 0] = False
        if batch.frames > 1:
            mask[-1, -1] = seen[-1, -1] = False
        return batch.replace(mask=mask, mouth_seen=seen, mouth=batch.mouth * seen[..., None, None])

    def mixture(self, rule: str = "collapsed") -> tuple[MinVAE, MixtureGuide]:
        """The published pair: constant components, an encoder for each alpha."""
        prior = MinVAE(LATENT, SpectrumDecoder(LATENT, 4, FREQUENCIES)).double()
        guide = MixtureGuide(prior, NoisyAudioEncoder(encoder()), MouthEncoder(perceptron()), RULES[rule]()).double()
        scatter(prior)
        scatter(guide)
        return prior, guide

    def conditional(self, rule: str = "collapsed") -> tuple[MinVAE, MixtureGuide]:
        """The conditional visual component with one posterior for both alphas."""
        prior = ConditionalMinVAE(LATENT, perceptron())
        prior.decoder = SpectrumDecoder(LATENT, 4, FREQUENCIES)
        prior.double()
        guide = SharedGuide(prior, CleanAudioEncoder(encoder()), RULES[rule]()).double()
        scatter(prior)
        scatter(guide)
        return prior, guide

    def pair(self, kind: str, rule: str = "collapsed") -> tuple[MinVAE, MixtureGuide]:
        """One of the two by name."""
        return self.mixture(rule) if kind == "constant" else self.conditional(rule)


@pytest.fixture
def world() -> World:
    return World()
