"""Steps of training per second: the enumerated analytic bound in Pyro against a loss written by hand."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import logsigmoid

from benchmarks.cells import one_thread
from benchmarks.tables import markdown
from minvae_pyro.guides import MixtureGuide
from minvae_pyro.guides.posteriors import HeardPosterior
from minvae_pyro.models import MinVAE
from minvae_pyro.training.plan import TrainingPlan
from minvae_pyro.utterances import Utterances

BATCH, FRAMES = 32, 90
"""Utterances in a batch, and how long a sentence of GRID is."""

STEPS = 12
"""Steps that are timed for each."""

_RATE = 1e-4  # of Adam: the two may not part


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


def handwritten_loss(prior: MinVAE, guide: MixtureGuide, utterances: Utterances) -> Tensor:
    """Negative bound of MIN-VAE in nats per frame, q(alpha) summed out in closed form (arXiv 1912.10647).

    ::

        -sum over frames of  log(pi exp(L_a) + (1 - pi) exp(L_v)),   L = log p(s | z) - KL(q(z | alpha) || p(z | alpha))

    Args:
        prior: MIN-VAE with constant components.
        guide: its two encoders.
        utterances: a batch of power.
    """
    (audio_mean, audio_scale), (visual_mean, visual_scale) = guide.audio(utterances), guide.visual(utterances)
    mean, scale = torch.stack([visual_mean, audio_mean]), torch.stack([visual_scale, audio_scale])
    posterior = Normal(mean, scale, validate_args=False)
    components = prior.visual_component(utterances), prior.audio_component(utterances)
    prior_mean, prior_scale = (torch.stack(pair)[:, None, None] for pair in zip(*components, strict=True))
    variance = prior.decoder(posterior.rsample())
    likelihood = -(variance.log() + utterances.spectrum / variance).sum(-1)
    bound = likelihood - kl_divergence(posterior, Normal(prior_mean, prior_scale, validate_args=False)).sum(-1)
    logit = prior.mixing(utterances)
    total = torch.logaddexp(bound[1] + logsigmoid(logit), bound[0] + logsigmoid(-logit))
    return -(total * utterances.mask).sum() / utterances.mask.sum()


def batch(size: int = BATCH, frames: int = FRAMES) -> Utterances:
    """Power and mouths without a meaning: what a step costs does not depend on it."""
    generator = torch.Generator().manual_seed(0)
    power = torch.empty(size, frames, 513).exponential_(generator=generator)
    return Utterances.from_spectrum(power, torch.rand(size, frames, 67, 67, generator=generator))


def measure(utterances: Utterances, steps: int = STEPS) -> list[Steps]:
    """Time steps of both losses in turn on one thread, with all networks and with those of the sound alone.

    Args:
        utterances: the batch.
        steps: how many of each.

    Raises:
        AssertionError: the two losses are not the same.
    """
    found = []
    with one_thread():
        for model, blind in (
            ("with the network for the mouth", False),
            ("a second one for the sound in its place", True),
        ):
            times: dict[str, list[float]] = {"bound": [], "handwritten": []}
            runs = {name: _stepper(name, utterances, blind) for name in times}
            losses = []
            for run in runs.values():
                torch.manual_seed(1)
                losses.append(run())
            assert math.isclose(*losses, rel_tol=1e-5), f"the losses differ: {losses}"
            for _ in range(steps):
                for name, run in runs.items():
                    began = time.process_time()
                    run()
                    times[name].append(time.process_time() - began)
            median = {name: statistics.median(values) for name, values in times.items()}
            found.append(Steps(model, **median, losses=(losses[0], losses[1])))
    return found


def _stepper(name: str, utterances: Utterances, blind: bool) -> Callable[[], float]:
    """A step of Adam on one of the losses, from weights that are the same for both."""
    torch.manual_seed(0)
    prior = MinVAE()
    guide = MixtureGuide(prior, visual=HeardPosterior() if blind else None)
    plan = TrainingPlan(prior, guide)
    adam = torch.optim.Adam(plan.parameters(), _RATE)

    def step() -> float:
        adam.zero_grad()
        loss: Tensor = plan(utterances) if name == "bound" else handwritten_loss(prior, guide, utterances)
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
        "MIN-VAE",
        "steps per s, enumerated bound",
        "steps per s, by hand",
        "ratio of cost",
        "loss (nats a frame)",
    ]
    return markdown(header, rows, names=1)
