"""What every inference engine is, and how one is named."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from minvae_pyro.errors import UserError
from minvae_pyro.guides import MeanFieldGuide
from minvae_pyro.models import NoisyMixture
from minvae_pyro.utterances import Utterances

Callback = Callable[[int, int, float], None]
"""Called after each iteration with its number (from 1), how many there are, and the objective in nats per frame."""


class InferenceEngine(ABC):
    """Fits a guide and the noise of a mixture to noisy recordings, both in place."""

    @abstractmethod
    def __call__(
        self,
        mixture: NoisyMixture,
        guide: MeanFieldGuide,
        utterances: Utterances,
        *,
        refresh: bool,
        callback: Callback | None = None,
    ) -> list[float]:
        """Run the engine.

        Args:
            mixture: any prior plus any noise model.
            guide: the posterior to fit.
            utterances: noisy recordings; ``spectrum`` is complex.
            refresh: put q(alpha) to its closed form in every iteration and re-estimate pi; otherwise q(alpha)
                stays as the guide has it.
            callback: called after each iteration.

        Returns:
            list: the objective after each iteration, nats per frame; higher is better.
        """

    def gain(self, mixture: NoisyMixture, guide: MeanFieldGuide, utterances: Utterances, samples: int) -> Tensor:
        """Posterior mean of the Wiener gain, (B, N, F), over draws of z."""
        total = torch.zeros_like(utterances.power)
        draws = guide.draw(samples)
        for draw in draws:
            total += mixture.wiener_gain(draw, utterances)
        return total / len(draws)


def update_alpha(mixture: NoisyMixture, guide: MeanFieldGuide, utterances: Utterances) -> None:
    """E-step of alpha and M-step of pi, both closed forms."""
    guide.refresh(mixture.speech, utterances)
    if guide.responsibility is not None:
        mixture.speech.m_step(guide.responsibility, utterances)


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Leave the parameters of a module out of the gradients: nobody asks for those of a prior at test time."""
    learnt = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in learnt:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learnt:
            parameter.requires_grad_(True)


def resolve(name: str, known: Mapping[str, Any], fits: Callable[[Any], bool], what: str) -> Any:
    """Find what a name means: one of those that are known, or an import path.

    Args:
        name: a key of ``known``, or a dotted path to any importable object.
        known: what there is under a short name.
        fits: whether an object can stand in this place.
        what: what it is, for the message.

    Raises:
        UserError: nothing of that name, or something else; the message tells the known names.
    """
    if name in known:
        return known[name]
    module, _, attribute = name.rpartition(".")
    choice = f"Choose {', '.join(known)} or give the import path of another."
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        reason = f" ({error})" if module else ""
        raise UserError(f"there is no {what} '{name}'{reason}. {choice}") from error
    if not fits(found):
        raise UserError(f"'{name}' is no {what}. {choice}")
    return found
