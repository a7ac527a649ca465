"""SwVAE: two trained VAEs, with a memory of which of them is to be trusted (arXiv 2102.04144)."""

from __future__ import annotations

from typing import Any

import pyro.distributions as dist
from torch import nn

from minvae_pyro.models.mixture_of_vaes import MixtureOfVAEs
from minvae_pyro.models.speech_prior import SpeechPrior
from minvae_pyro.models.switching import LearntSwitching, UtteranceSwitching
from minvae_pyro.utterances import Utterances


class SwitchingVAE(MixtureOfVAEs):
    """SwVAE: each frame is told by one of two whole VAEs, mostly by that of the frame before (arXiv 2102.04144).

    ::

        for n in frames:
            alpha[n] | alpha[n - 1] ~ Bernoulli(transition[alpha[n - 1]])   # alpha_prior; 1 audio, 0 visual
            z[n] | alpha[n] = 1 ~ audio.z_prior                 # z_prior
            z[n] | alpha[n] = 0 ~ visual.z_prior
            s[n] | alpha[n] = 1 ~ N_c(0, diag audio variance(z[n]))     # speech_variance
            s[n] | alpha[n] = 0 ~ N_c(0, diag visual variance(z[n]))

    Equations :eq:`two-decoders` and :eq:`markov-chain`.

    Args:
        audio: the VAE of frames whose mouth cannot be trusted; A-VAE when omitted.
        visual: the VAE of the others; AV-CVAE when omitted. Both give ``z_prior(utterances)``, a diagonal normal.
        switching: the chain of alpha; a learnt one when omitted.

    Raises:
        UserError: the codes of the two differ in size.
    """

    def __init__(
        self, audio: SpeechPrior | None = None, visual: SpeechPrior | None = None, switching: nn.Module | None = None
    ) -> None:
        super().__init__(audio, visual, LearntSwitching() if switching is None else switching)

    def alpha_prior(self, utterances: Utterances) -> dist.Distribution:
        """p(alpha), a chain, batch shape (B, N)."""
        return self.mixing(utterances)

    def mixing_of(self, utterances: Utterances) -> nn.Module:
        """The chain as trained, one for each recording, which :meth:`m_step` may change."""
        chain: Any = self.mixing
        return UtteranceSwitching(chain, len(utterances))

    def m_step(self, alpha: dist.Distribution, utterances: Utterances) -> None:
        """Re-estimate the transitions from pairs of neighbours under q(alpha) (arXiv 2102.04144, M-step).

        Does nothing before :meth:`given` has provided for a chain of the recording's own.
        """
        if isinstance(self.mixing, UtteranceSwitching):
            self.mixing.m_step(alpha, utterances)
