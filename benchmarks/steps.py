"""Steps of training per second: the enumerated analytic bound in Pyro against a loss written by hand."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import logsigmoid

from benchmarks.common import markdown
from minvae_pyro.corpora.workers import one_thread
from minvae_pyro.guides import AudioGuide, AudioVisualGuide, MixtureGuide, SharedGuide, TwoVAEsGuide
from minvae_pyro.guides.encoders import NoisyAudioEncoder
from minvae_pyro.models import AudioVAE, ConditionalMinVAE, ConditionalVAE, MinVAE, MixtureOfVAEs
from minvae_pyro.probability.normals import Gaussian
from minvae_pyro.training.plan import TrainingPlan
from minvae_pyro.utterances import Utterances

BATCH, FRAMES = 32, 90
"""Utterances in a batch, and how long a sentence of GRID is."""

STEPS = 12
"""Steps that are timed for each."""

_RATE = 1e-4  # of Adam: the two may not part


@dataclass(frozen=True)
class Case:
    """A pair whose steps are timed.

    Attributes:
        name: of the prior, and what is special.
        make: makes prior and guide.
        loss: the same loss by hand, nats per frame, of prior, guide and a batch of power.
    """

    name: str
    make: Callable[[], tuple[Any, Any]]
    loss: Callable[[Any, Any, Utterances], Tensor]


@dataclass(frozen=True)
class Steps:
    """What was found for one model.

    Attributes:
        model: which.
        bound: seconds of a step of the bound, the median.
        handwritten: of a step by hand.
        losses: of the first step of each, nats per frame.
    """

    model: str
    bound: float
    handwritten: float
    losses: tuple[float, float]

    @property
    def ratio(self) -> float:
        """Cost of the bound by that of the loss by hand."""
        return self.bound / self.handwritten


def mixture_loss(prior: MinVAE, guide: MixtureGuide, utterances: Utterances) -> Tensor:
    """MIN-VAE with constant components, q(alpha) summed out in closed form (arXiv 1912.10647).

    ::

        -sum over frames of  log(pi exp(L_a) + (1 - pi) exp(L_v)),   L = log p(s | z) - KL(q(z | alpha) || p(z | alpha))
    """
    audio, visual = guide.audio(utterances), guide.visual(utterances)
    posterior = _both(visual, audio)
    components = _both(*(part(utterances) for part in (prior.visual_component, prior.audio_component)))
    components = Normal(components.loc[:, None, None], components.scale[:, None, None], validate_args=False)
    likelihood = _likelihood(prior.decoder(posterior.rsample()), utterances)
    bound = likelihood - kl_divergence(posterior, components).sum(-1)
    return _collapsed(bound, prior.alpha_prior(utterances).logits, utterances)


def shared_loss(prior: ConditionalMinVAE, guide: SharedGuide, utterances: Utterances) -> Tensor:
    """The same with one q(z) for both alphas, and a visual component that depends on the mouth."""
    posterior = _normal(guide.audio(utterances))
    likelihood = _likelihood(prior.decoder(posterior.rsample()), utterances)
    component = _normal(prior.visual_component(utterances))
    divergence = [kl_divergence(posterior, p).sum(-1) for p in (component, _standard(posterior))]
    return _collapsed(likelihood - torch.stack(divergence), prior.alpha_prior(utterances).logits, utterances)


def audio_loss(prior: AudioVAE, guide: AudioGuide, utterances: Utterances) -> Tensor:
    """A-VAE (arXiv 1902.01605)."""
    posterior = _normal(guide.audio(utterances))
    likelihood = _likelihood(prior.decoder(posterior.rsample()), utterances)
    return _per_frame(likelihood - kl_divergence(posterior, _standard(posterior)).sum(-1), utterances)


def conditional_loss(prior: ConditionalVAE, guide: AudioVisualGuide, utterances: Utterances) -> Tensor:
    """AV-CVAE (arXiv 1908.02590): one look at the mouth for encoder, decoder and prior of z."""
    features = prior.visual_features(utterances)
    posterior = _normal(guide.encoder(utterances.noisy_power, features))
    likelihood = _likelihood(prior.decoder(posterior.rsample(), features), utterances)
    return _per_frame(likelihood - kl_divergence(posterior, _visual_component(prior, features)).sum(-1), utterances)


def two_vaes_loss(prior: MixtureOfVAEs, guide: TwoVAEsGuide, utterances: Utterances) -> Tensor:
    """VAE-MM (arXiv 1911.03930), q(alpha) summed out in closed form."""
    visual: Any = prior.visual
    audio: Any = prior.audio
    features = visual.visual_features(utterances)
    posterior = _both(guide.visual.encoder(utterances.noisy_power, features), guide.audio(utterances))
    of_visual, of_audio = posterior.rsample()
    likelihood = torch.stack(
        [_likelihood(v, utterances) for v in (visual.decoder(of_visual, features), audio.decoder(of_audio))]
    )
    component = _visual_component(visual, features)
    components = Normal(
        torch.stack([component.loc, torch.zeros_like(component.loc)]),
        torch.stack([component.scale, torch.ones_like(component.scale)]),
        validate_args=False,
    )
    bound = likelihood - kl_divergence(posterior, components).sum(-1)
    alpha_prior: Any = prior.alpha_prior
    return _collapsed(bound, alpha_prior(utterances).logits, utterances)


def _normal(parameters: Gaussian) -> Normal:
    mean, scale = parameters
    return Normal(mean, scale, validate_args=False)


def _both(visual: Gaussian, audio: Gaussian) -> Normal:
    """Side by side, parameters (2, ...)."""
    mean, scale = (torch.stack(pair) for pair in zip(visual, audio, strict=True))
    return Normal(mean, scale, validate_args=False)


def _standard(like: Normal) -> Normal:
    size = like.loc.shape[-1]
    return Normal(like.loc.new_zeros(size), like.loc.new_ones(size), validate_args=False)


def _visual_component(prior: ConditionalVAE, features: Tensor) -> Normal:
    component: Any = prior.visual_component
    mean, scale = component.network(features)
    seen = (features != 0).any(-1, keepdim=True)
    return Normal(torch.where(seen, mean, 0.0), torch.where(seen, scale, 1.0), validate_args=False)


def _likelihood(variance: Tensor, utterances: Utterances) -> Tensor:
    return -(variance.log() + utterances.spectrum / variance).sum(-1)


def _collapsed(bound: Tensor, logit: Tensor, utterances: Utterances) -> Tensor:
    """Of both bounds, (2, B, N), visual first."""
    return _per_frame(torch.logaddexp(bound[1] + logsigmoid(logit), bound[0] + logsigmoid(-logit)), utterances)


def _per_frame(bound: Tensor, utterances: Utterances) -> Tensor:
    return -(bound * utterances.mask).sum() / utterances.mask.sum()


def _min_vae(visual: Any = None) -> tuple[Any, Any]:
    prior = MinVAE()
    return prior, MixtureGuide(prior, visual=visual)


def _conditional_min_vae() -> tuple[Any, Any]:
    prior = ConditionalMinVAE()
    return prior, SharedGuide(prior)


def _av_cvae() -> tuple[Any, Any]:
    prior = ConditionalVAE()
    return prior, AudioVisualGuide(prior)


def _vae_mm() -> tuple[Any, Any]:
    prior = MixtureOfVAEs()
    return prior, TwoVAEsGuide(prior)


CASES = (
    Case("MIN-VAE", _min_vae, mixture_loss),
    Case(
        "MIN-VAE, a second network for the sound in place of the mouth's",
        lambda: _min_vae(NoisyAudioEncoder()),
        mixture_loss,
    ),
    Case("MIN-VAE with a conditional component, as shipped", _conditional_min_vae, shared_loss),
    Case("A-VAE", lambda: (AudioVAE(), AudioGuide()), audio_loss),
    Case("AV-CVAE", _av_cvae, conditional_loss),
    Case("VAE-MM", _vae_mm, two_vaes_loss),
)
"""What is timed."""


def batch(size: int = BATCH, frames: int = FRAMES) -> Utterances:
    """Power and mouths without a meaning: what a step costs does not depend on it."""
    generator = torch.Generator().manual_seed(0)
    power = torch.empty(size, frames, 513).exponential_(generator=generator)
    return Utterances.from_spectrum(power, torch.rand(size, frames, 67, 67, generator=generator))


def measure(utterances: Utterances, steps: int = STEPS) -> list[Steps]:
    """Time steps of both losses in turn on one thread, for each of :data:`CASES`.

    Args:
        utterances: the batch.
        steps: how many of each.

    Raises:
        AssertionError: the two losses are not the same.
    """
    found = []
    with one_thread():
        for case in CASES:
            times: dict[str, list[float]] = {"bound": [], "handwritten": []}
            runs = {name: _stepper(name, utterances, case) for name in times}
            losses = []
            for run in runs.values():
                torch.manual_seed(1)
                losses.append(run())
            assert math.isclose(*losses, rel_tol=1e-5), f"the losses of {case.name} differ: {losses}"
            for _ in range(steps):
                for name, run in runs.items():
                    began = time.process_time()
                    run()
                    times[name].append(time.process_time() - began)
            median = {name: statistics.median(values) for name, values in times.items()}
            found.append(Steps(case.name, **median, losses=(losses[0], losses[1])))
    return found


def _stepper(name: str, utterances: Utterances, case: Case) -> Callable[[], float]:
    """A step of Adam on one of the losses, from weights that are the same for both."""
    torch.manual_seed(0)
    prior, guide = case.make()
    plan = TrainingPlan(prior, guide)
    adam = torch.optim.Adam(plan.parameters(), _RATE)

    def step() -> float:
        adam.zero_grad()
        loss: Tensor = plan(utterances) if name == "bound" else case.loss(prior, guide, utterances)
        loss.backward()
        adam.step()
        return float(loss.detach())

    return step


def in_table(found: list[Steps]) -> str:
    """Markdown."""
    rows = [
        [one.model, f"{1 / one.bound:.2f}", f"{1 / one.handwritten:.2f}", f"{one.ratio:.2f}", f"{one.losses[0]:.3f}"]
        for one in found
    ]
    header = [
        "prior",
        "steps per s, enumerated bound",
        "steps per s, by hand",
        "ratio of cost",
        "loss (nats a frame)",
    ]
    return markdown(header, rows, names=1)
