"""A guide at test time that looks before it chooses."""

from __future__ import annotations

import torch

from minvae_pyro.guides.branches import Story
from minvae_pyro.guides.utterance import MixtureUtteranceGuide
from minvae_pyro.utterances import Utterances


class PatientMixtureGuide(MixtureUtteranceGuide):
    """q(alpha) q(z | alpha) whose q(alpha) stays at the prior until both posteriors of z had time to settle.

    Before the noise is known the evidence tells no more than which encoder started nearer to the mixture; and the
    posterior that loses a frame there is never fitted again, so that the first choice is the last.

    Args:
        patience: iterations before q(alpha) takes its closed form.
    """

    def __init__(self, patience: int = 20) -> None:
        super().__init__()
        self.patience = patience

    @torch.no_grad()
    def refresh(self, story: Story, utterances: Utterances) -> bool:
        """Wait, then set q(alpha) to its closed form; arguments as of :class:`MixtureUtteranceGuide`."""
        if self.patience > 0:
            self.patience -= 1
            return False
        return super().refresh(story, utterances)
