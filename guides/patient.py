"""A guide at test time that looks before it chooses."""

from __future__ import annotations

from minvae_pyro.guides.utterance import MixtureUtteranceGuide


class PatientMixtureGuide(MixtureUtteranceGuide):
    """q(alpha) q(z | alpha) whose q(alpha) stays at the prior until both posteriors of z had time to settle.

    Before the noise is known the evidence tells no more than which encoder started nearer to the mixture; and the
    posterior that loses a frame there is never fitted again, so that the first choice is the last. No engine stops for
    its tolerance before the choice. Engines that move particles sum alpha out and have no need of patience.

    Args:
        patience: share of the engine's run, 0 to 1, after which q(alpha) takes its closed form.
    """

    def __init__(self, patience: float = 0.67) -> None:
        super().__init__()
        if not 0 <= patience <= 1:
            raise ValueError(f"patience is a share of an engine's run, 0 to 1, not {patience}")
        self.patience = patience
