"""A small noisy world in float64 and everything that an engine needs."""

from collections.abc import Callable
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
    MeanFieldGuide,
    NoisyAudioEncoder,
    ParticleGuide,
    SharedGuide,
    UtteranceGuide,
)
from minvae_pyro.guides.encoders import CleanAudioEncoder
from minvae_pyro.inference import InferenceEngine, ParticleEM
from minvae_pyro.inference.settings import ENGINES
from minvae_pyro.models import (
    AudioVAE,
    ConditionalMinVAE,
    MixtureOfVAEs,
    NMFNoise,
    NoisyMixture,
    SpeechPrior,
    SwitchingVAE,
)
from minvae_pyro.nn.audio import SpectrumDecoder, SpectrumEncoder
from minvae_pyro.nn.visual import MouthPerceptron
from minvae_pyro.utterances import Utterances

LATENT, FREQUENCIES, RANK = 3, 6, 2
BINS = 5


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
        return NoisyMixture(prior.condition_on(batch), noise, positive(size, 1, 1))

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
        guide = (
            SharedGuide(prior, CleanAudioEncoder(encoder), rule) if mixture else AudioGuide(NoisyAudioEncoder(encoder))
        )
        scatter(guide, self.generator)
        return SimpleNamespace(prior=prior, guide=guide.double(), enhancement=enhancement, trust=None)


@pytest.fixture
def noisy() -> Noisy:
    return Noisy()


@pytest.fixture
def few() -> Callable[[str], InferenceEngine]:
    """Makes an engine of a name with few iterations."""

    def make(name: str) -> InferenceEngine:
        burn_in = {"burn_in": 1} if name in ("mcem", "langevin") else {}
        return ENGINES[name](**{"iterations": 8, "steps": 3, **burn_in})  # type: ignore[arg-type]

    return make


class Small:
    """Priors of one or two dimensions, recordings of five bins, and posteriors of z on a grid."""

    @staticmethod
    def vae(latent: int, seed: int) -> AudioVAE:
        prior = AudioVAE(latent, SpectrumDecoder(latent, 4, BINS))
        generator = torch.Generator().manual_seed(seed)
        for parameter in prior.parameters():
            parameter.data = parameter.data + torch.randn(parameter.shape, generator=generator)
        return prior.double()

    @staticmethod
    def prior(kind: str) -> SpeechPrior:
        """Plain, a mixture of two with alpha free in every frame, or with a chain of alpha."""
        if kind == "plain":
            return Small.vae(2, 1)
        return {"two": MixtureOfVAEs, "chain": SwitchingVAE}[kind](Small.vae(2, 1), Small.vae(2, 2)).double()

    @staticmethod
    def recordings(size: int, frames: int) -> Utterances:
        parts = torch.randn(2, size, frames, BINS, dtype=torch.float64)
        mouth = torch.zeros((), dtype=torch.float64).expand(size, frames, 67, 67)
        return Utterances.from_spectrum(torch.complex(*parts), mouth)

    @staticmethod
    def mixture_of(prior: SpeechPrior, batch: Utterances) -> NoisyMixture:
        size, frames = batch.mask.shape
        spectra, activations = (0.2 + torch.rand(size, *s).double() for s in ((BINS, 2), (2, frames)))
        noise = NMFNoise(2).at(spectra=spectra, activations=activations)
        return NoisyMixture(prior.condition_on(batch), noise, torch.full((size, 1, 1), 1.2, dtype=torch.float64))

    @staticmethod
    def particles(mixture: NoisyMixture, batch: Utterances, chains: int, latent: int, **start: Any) -> ParticleGuide:
        begin = torch.zeros(*batch.mask.shape, latent, dtype=torch.float64)
        return ParticleGuide(chains).start(mixture.speech, batch, (begin, torch.ones_like(begin)), **start)

    @staticmethod
    def one_e_step(engine: ParticleEM, mixture: NoisyMixture, guide: ParticleGuide, batch: Utterances) -> Tensor:
        return next(engine.e_steps(mixture, guide, batch))[0]

    @staticmethod
    def log_density(mixture: NoisyMixture, speech: AudioVAE, batch: Utterances, z: Tensor) -> Tensor:
        """log p(x, z) by hand, (G, B, N), up to a constant."""
        noise = (mixture.noise.spectra @ mixture.noise.activations).mT
        variance = mixture.gain * speech.decoder(z) + noise
        return -(variance.log() + batch.power / variance).sum(-1) - z.square().sum(-1) / 2

    @staticmethod
    @torch.no_grad()
    def on_a_grid(
        mixture: NoisyMixture, speech: AudioVAE, batch: Utterances, latent: int, points: int = 241
    ) -> tuple[Tensor, Tensor]:
        """Grid (G, L) and normalised posterior (G, B, N)."""
        axis = torch.linspace(-6, 6, points, dtype=torch.float64)
        grid = torch.cartesian_prod(*[axis] * latent).reshape(-1, latent)
        logs = Small.log_density(mixture, speech, batch, grid[:, None, None].expand(-1, *batch.mask.shape, -1))
        return grid, logs.softmax(0)

    @staticmethod
    def assert_moments(found: Tensor, grid: Tensor, density: Tensor, tolerance: float) -> None:
        """Means of z, z z' and tanh(2 z) over particles (S, B, N, L) are those of the density on the grid."""
        for moment in (lambda z: z, lambda z: (z[..., None] * z[..., None, :]).flatten(-2), lambda z: (2 * z).tanh()):
            expected = torch.einsum("gbn,gk->bnk", density, moment(grid))
            torch.testing.assert_close(moment(found).mean(0), expected, rtol=0, atol=tolerance)


@pytest.fixture
def small() -> type[Small]:
    return Small
