"""Guides at test time: one posterior per recording, started by the encoders and then fitted."""

from __future__ import annotations

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.nn import PyroModule, PyroParam
from torch import Tensor
from torch.distributions import constraints, kl_divergence

from minvae_pyro.models.mixing import audio_where_unseen
from minvae_pyro.models.speech_prior import SpeechPrior
from minvae_pyro.utterances import Utterances


def component_log_odds(prior: SpeechPrior, posterior: dist.Distribution, utterances: Utterances) -> Tensor | None:
    """Closed-form log-odds of q(alpha = 1) given q(z) (arXiv 1912.10647, speech enhancement).

    ``logit(pi) + E_q[log p(z | alpha = 1)] - E_q[log p(z | alpha = 0)]``; the entropy of q cancels, so the
    difference is one of divergences. The prior is asked by conditioning, whatever its class.

    Args:
        prior: any speech prior.
        posterior: q(z), batch shape (B, N), event shape (L,).
        utterances: the batch.

    Returns:
        Tensor: (B, N), the audio component's where no mouth was seen; None when the prior has no site ``alpha``.
    """
    alpha = torch.tensor([0.0, 1.0], device=utterances.heard.device, dtype=utterances.heard.dtype)[:, None, None]

    def story() -> Tensor:
        return prior.latent(utterances, utterances.plates())

    with torch.no_grad(), pyro.validation_enabled(False):
        sites = poutine.trace(poutine.condition(story, data={"alpha": alpha})).get_trace().nodes
        if "alpha" not in sites:
            return None
        divergence = kl_divergence(posterior, sites["z"]["fn"])  # (2, B, N)
        odds = sites["alpha"]["fn"].log_prob(alpha)
        logit = (odds[1] - odds[0]) - (divergence[1] - divergence[0])
    # a constant or sharpened component differs from the other in unseen frames too, and must not win them
    return audio_where_unseen(logit, utterances)


class MeanFieldGuide(PyroModule):
    """q(z) q(alpha), factorised over frames (arXiv 1912.10647, speech enhancement).

    ::

        for n in frames:
            alpha[n] ~ Bernoulli(r[n])              # only for priors that have it; closed form, see refresh
            z[n] ~ N(mean[n], diag scale[n]^2)      # fitted

    Args:
        mean: start of the mean, (B, N, L).
        scale: start of the standard deviation, (B, N, L) > 0.
        mixture: whether the prior has a site ``alpha``.
    """

    logit: Tensor

    def __init__(self, mean: Tensor, scale: Tensor, mixture: bool) -> None:
        super().__init__()
        self.mean = PyroParam(mean.detach().clone())
        self.scale = PyroParam(scale.detach().clone(), constraint=constraints.positive)
        self.mixture = mixture
        self.register_buffer("logit", mean.new_zeros(mean.shape[:2]))

    def z_posterior(self) -> dist.Distribution:
        """q(z), batch shape (B, N), event shape (L,)."""
        return dist.Normal(self.mean, self.scale).to_event(1)

    def forward(self, utterances: Utterances) -> None:
        """Sample ``alpha`` (to be enumerated) where the prior has it, and ``z``."""
        with utterances.plates().every_frame():
            if self.mixture:
                pyro.sample("alpha", dist.Bernoulli(logits=self.logit), infer={"enumerate": "parallel"})
            pyro.sample("z", self.z_posterior())

    def refresh(self, prior: SpeechPrior, utterances: Utterances) -> None:
        """Set r to its closed form given the current q(z)."""
        logit = component_log_odds(prior, self.z_posterior(), utterances)
        if logit is not None:
            self.logit = logit

    @torch.no_grad()
    def draw(self, samples: int) -> Tensor:
        """Draws of z, (samples, B, N, L)."""
        return self.z_posterior().sample((samples,))

    @property
    def responsibility(self) -> Tensor | None:
        """r, (B, N), or None for a prior without ``alpha``."""
        return self.logit.sigmoid() if self.mixture else None


class PointGuide(MeanFieldGuide):
    """A point estimate of z (maximum a posteriori), with the same closed-form q(alpha).

    The scale given at the start is not used.
    """

    def z_posterior(self) -> dist.Distribution:
        """A Dirac at the mean."""
        return dist.Delta(self.mean, event_dim=1)

    @torch.no_grad()
    def draw(self, samples: int) -> Tensor:
        """The point itself, (1, B, N, L): more draws would be the same."""
        return self.mean.detach()[None]
