"""A small noisy world in float64 and everything that an engine needs."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from minvae_pyro.guides import (
    AudioGuide,
    CollapsedResponsibility,
    GatedResponsibility,
    HeardPosterior,
    MeanFieldGuide,
    SharedGuide,
    UtteranceGuide,
)
from minvae_pyro.guides.posteriors import CleanPosterior
from minvae_pyro.models import AudioVAE, ConditionalMinVAE, NMFNoise, NoisyMixture, SpeechPrior
from minvae_pyro.networks import MouthPerceptron, SpectrumDecoder, SpectrumEncoder
from minvae_pyro.utterances import Utterances

LATENT, FREQUENCIES, RANK = 3, 6, 2


class MaskGate(nn.Module):
    """A gate that says the same of every frame."""

    def forward(self, heard: Tensor, predicted: Tensor, seen: Any, mask: Tensor) -> Tensor:
        return heard.new_full(mask.shape, -1.5)


def scatter(module: nn.Module, generator: torch.Generator) -> None:
    for parameter in module.parameters():
        parameter.data = parameter.data + 0.4 * torch.randn(parameter.shape, generator=generator)


@dataclass
class Noisy:
    """Builds priors, mixtures, guides and checkpoints for a batch of recordings."""

    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(5))

    def batch(self, size: int = 2, frames: int = 4) -> Utterances:
        """Recordings of equal length, every mouth seen."""
        parts = torch.randn(2, size, frames, FREQUENCIES, generator=self.generator, dtype=torch.float64)
        mouth = torch.rand(size, frames, 67, 67, generator=self.generator, dtype=torch.float64)
        return Utterances.from_spectrum(torch.complex(*parts), mouth)

    def prior(self, mixture: bool = True) -> SpeechPrior:
        """A conditional MIN-VAE or an A-VAE with random weights."""
        decoder = SpectrumDecoder(LATENT, 4, FREQUENCIES)
        prior: SpeechPrior
        if mixture:
            prior = ConditionalMinVAE(LATENT, MouthPerceptron((4, 4), LATENT))
            prior.decoder = decoder
        else:
            prior = AudioVAE(LATENT, decoder)
        scatter(prior, self.generator)
        return prior.double()

    def mixture(self, batch: Utterances, prior: SpeechPrior) -> NoisyMixture:
        """The prior worked out for a batch, with noise and gain of its own."""
        size, frames = batch.mask.shape

        def positive(*shape: int) -> Tensor:
            return 0.2 + torch.rand(shape, generator=self.generator, dtype=torch.float64)

        noise = NMFNoise(RANK).at(spectra=positive(size, FREQUENCIES, RANK), activations=positive(size, RANK, frames))
        return NoisyMixture(prior.given(batch), noise, positive(size, 1, 1))

    def guide(
        self, batch: Utterances, prior: SpeechPrior, kind: type[UtteranceGuide] = MeanFieldGuide, **start: Any
    ) -> Any:
        """A posterior somewhere; ``start`` may have ``log_odds`` and ``encoders``."""
        shape = (*batch.mask.shape, LATENT)
        mean = torch.randn(shape, generator=self.generator, dtype=torch.float64)
        scale = 0.3 + torch.rand(shape, generator=self.generator, dtype=torch.float64)
        return kind().start(prior, batch, (mean, scale), **start)

    def checkpoint(self, mixture: bool = True, gate: bool = False, **enhancement: Any) -> Any:
        """What `infer` reads of a checkpoint."""
        prior = self.prior(mixture)
        encoder = SpectrumEncoder(FREQUENCIES, 4, LATENT)
        rule = GatedResponsibility(MaskGate()) if gate else CollapsedResponsibility()
        guide = SharedGuide(prior, CleanPosterior(encoder), rule) if mixture else AudioGuide(HeardPosterior(encoder))
        scatter(guide, self.generator)
        return SimpleNamespace(prior=prior, guide=guide.double(), enhancement=enhancement)


@pytest.fixture
def noisy() -> Noisy:
    return Noisy()
