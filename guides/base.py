"""What every guide for training is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Self

import pyro
import pyro.distributions as dist
from torch import Tensor

from minvae_pyro.models.speech_prior import SpeechPrior, conditioned_parts, shallow_copy
from minvae_pyro.probability.normals import Gaussian
from minvae_pyro.probability.parameters import AbstractPyroModule
from minvae_pyro.utterances import Utterances


class TrainingGuide(AbstractPyroModule):
    """The posterior that a speech prior is trained with, and what inference needs of it on a noisy recording.

    A guide whose constructor has an argument ``prior`` is given the prior that is trained; its annotation says which
    priors fit. The sites that :meth:`forward` samples are those of the prior.
    """

    _prior: Sequence[SpeechPrior] = ()
    """The prior that the guide asks, if any; in a list, so that its weights are not the guide's as well."""

    @abstractmethod
    def encode_audio(self, utterances: Utterances) -> Gaussian:
        """Where z may start at test time, from the sound: mean and scale, each (B, N, L)."""

    def encode_visual(self, utterances: Utterances) -> Gaussian:
        """Where z may start at test time, from the mouth; from the sound, unless a guide overrides it."""
        return self.encode_audio(utterances)

    def gate_logits(self, utterances: Utterances) -> Tensor | None:
        """Log-odds of alpha = 1 by the noisy recording alone, (B, N); None, the default, without a gate."""
        return None

    def forward(self, utterances: Utterances) -> None:
        """Sample the latent sites of the prior: ``z`` by :meth:`encode_audio`, unless a guide does otherwise."""
        with utterances.plates().every_frame():
            pyro.sample("z", dist.Normal(*self.encode_audio(utterances)).to_event(1))

    def condition_on(self, utterances: Utterances) -> Self:
        """The same guide for these recordings, with its prior conditioned on them."""
        twin = shallow_copy(conditioned_parts(self, utterances))
        twin._prior = [prior.condition_on(utterances) for prior in self._prior]
        return twin
