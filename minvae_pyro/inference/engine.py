"""What every inference engine is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from minvae_pyro.guides import UtteranceGuide
from minvae_pyro.guides.branches import Story
from minvae_pyro.inference.codes import draw_codes
from minvae_pyro.inference.stopping import has_settled
from minvae_pyro.models import NoisyMixture
from minvae_pyro.utterances import Utterances

Callback = Callable[[int, int, float], None]
"""Called after each iteration with its number (from 1), the most there may be, and the objective in nats per frame."""


@dataclass
class InferenceEngine(ABC):
    """Fits a guide and the noise of a mixture to noisy recordings, both in place.

    Attributes:
        tolerance: nats per frame; an engine stops when its objective rises by less, see
            :func:`minvae_pyro.inference.stopping.has_settled`. At zero it runs all of its iterations. Recordings of a
            batch stop together.
    """

    tolerance: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        if not self.tolerance >= 0:
            raise ValueError(f"an engine needs a tolerance of at least 0, not {self}")

    def posterior(self, guide: UtteranceGuide) -> UtteranceGuide:
        """The guide that this engine fits, beginning where another stands; any guide, unless an engine says otherwise.

        Args:
            guide: a started guide.
        """
        return guide

    @abstractmethod
    def __call__(
        self,
        mixture: NoisyMixture,
        guide: UtteranceGuide,
        utterances: Utterances,
        *,
        callback: Callback | None = None,
    ) -> list[float]:
        """Run the engine.

        Args:
            mixture: any prior plus any noise model.
            guide: the posterior to fit.
            utterances: noisy recordings; ``spectrum`` is complex.
            callback: called after each iteration.

        Returns:
            list: the objective after each iteration that was run, nats per frame; higher is better.
        """

    def ended(self, guide: UtteranceGuide, objective: Sequence[float], most: int, callback: Callback | None) -> bool:
        """Report the iteration that has ended, and tell whether the objective has settled: every engine's last line.

        Args:
            guide: the posterior; nothing has settled before its patience is over.
            objective: so far.
            most: iterations that there may be.
            callback: of :meth:`__call__`.
        """
        if callback is not None:
            callback(len(objective), most, objective[-1])
        return len(objective) >= guide.patience * most and has_settled(objective, self.tolerance)

    def gain(self, mixture: NoisyMixture, guide: UtteranceGuide, utterances: Utterances, samples: int) -> Tensor:
        """Posterior mean of the Wiener gain, (B, N, F), over draws of z; alpha is summed over.

        Equation :eq:`wiener-filter`.
        """
        codes, weight = draw_codes(mixture.speech, guide, utterances, samples)
        total = torch.zeros_like(utterances.power)
        for number, code in enumerate(codes):
            share = 1.0 if weight is None else weight[number, ..., None]
            total += share * mixture.wiener_gain(code, utterances)
        return total / len(codes) if weight is None else total


def update_alpha(
    mixture: NoisyMixture, guide: UtteranceGuide, story: Story, utterances: Utterances, done: float
) -> None:
    """E-step of alpha and M-step of pi, both closed forms; nothing where q(alpha) is given or the guide waits.

    Equations :eq:`frame-evidence` and :eq:`mixing-update`.

    Args:
        mixture: its prior re-estimates pi.
        guide: holds q(alpha).
        story: what ``utterances`` are observed in.
        utterances: the batch.
        done: share of the engine's run that is behind, this iteration included, 0 to 1.
    """
    if guide.refresh(story, utterances, done) and guide.alpha is not None:
        mixture.speech.m_step(guide.alpha, utterances)


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
