"""Guides of MIN-VAE: the mixture of two encoders (arXiv 1912.10647)."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from minvae_pyro.errors import UserError
from minvae_pyro.guides.alpha_posterior import branches, by_alpha, latent_at
from minvae_pyro.guides.base import TrainingGuide
from minvae_pyro.guides.encoders import CleanAudioEncoder, MouthEncoder, NoisyAudioEncoder, ZPosterior
from minvae_pyro.guides.responsibility import CollapsedResponsibility, Evidence, Responsibility
from minvae_pyro.models.min_vae import MinVAE
from minvae_pyro.models.speech_prior import SpeechPrior, require_own_frames
from minvae_pyro.probability.handlers import plates_around
from minvae_pyro.probability.normals import Gaussian, PresampledNormal
from minvae_pyro.utterances import Utterances


class MixtureGuide(TrainingGuide):
    """The mixture of inference networks, q(alpha) q(z | alpha) (arXiv 1912.10647).

    Equation :eq:`mixture-posterior`; the bound that it is trained by is equation :eq:`mixture-bound`::

        for n in frames:
            alpha[n] ~ Bernoulli(r[n])              # responsibility; enumerated, never sampled
            z[n] | alpha[n] = 1 ~ N(audio encoder(power[n]))
            z[n] | alpha[n] = 0 ~ N(visual encoder(mouth))

    Args:
        prior: the prior that is trained; its conditionals give the bounds L_a and L_v.
        audio: maps utterances to mean and scale under alpha = 1.
        visual: maps utterances to mean and scale under alpha = 0.
        responsibility: the rule for r; collapsed when omitted.

    Raises:
        UserError: frames of the prior depend on z of their neighbours, and the guide has a z for each alpha.
    """

    z_by_alpha: ClassVar[bool] = True
    """Whether z is drawn for each alpha by itself."""

    def __init__(
        self,
        prior: SpeechPrior,
        audio: ZPosterior | None = None,
        visual: ZPosterior | None = None,
        responsibility: Responsibility | None = None,
    ) -> None:
        super().__init__()
        if self.z_by_alpha:
            require_own_frames(prior, self)
        self._prior = [prior]
        self.audio = NoisyAudioEncoder() if audio is None else audio
        self.visual = MouthEncoder() if visual is None else visual
        self.responsibility = CollapsedResponsibility() if responsibility is None else responsibility

    def posteriors(self, utterances: Utterances) -> Gaussian:
        """Mean and scale of q(z | alpha), each (2, B, N, L); axis 0 is alpha, so visual comes first."""
        both = zip(self.encode_visual(utterances), self.encode_audio(utterances), strict=True)
        mean, scale = (torch.stack(torch.broadcast_tensors(*parts)) for parts in both)
        return mean, scale

    def encode_audio(self, utterances: Utterances) -> Gaussian:
        """Where z may start at test time, from the sound, each (B, N, L)."""
        return self.audio(utterances)

    def encode_visual(self, utterances: Utterances) -> Gaussian:
        """Where z may start at test time, from the mouth, each (B, N, L)."""
        return self.visual(utterances)

    def gate_logits(self, utterances: Utterances) -> Tensor | None:
        """Log-odds of alpha = 1 by the noisy recording alone, (B, N), or None, by the rule."""
        return self.responsibility.noisy(utterances, self.evidence(utterances))

    def draw(self, posterior: dist.Normal) -> Tensor:
        """One reparameterised draw of z under each alpha, (..., 2, B, N, L), in front whatever plates are around."""
        return posterior.rsample(plates_around())

    def forward(self, utterances: Utterances) -> None:
        """Sample ``alpha`` (to be enumerated) and ``z``."""
        posterior = dist.Normal(*self.posteriors(utterances))
        draw = self.draw(posterior)
        q_alpha = self.responsibility.posterior(utterances, self.evidence(utterances, posterior, draw))
        with utterances.plates().every_frame():
            alpha = pyro.sample("alpha", q_alpha, infer={"enumerate": "parallel"})
            pyro.sample("z", self.z_posterior(alpha, posterior, draw).to_event(1))

    def z_posterior(self, alpha: Tensor, posterior: dist.Normal, draw: Tensor) -> PresampledNormal:
        """q(z | alpha) at the draw made, for alpha (..., B, N) or what broadcasts to it: it may be enumerated."""
        return PresampledNormal(*(by_alpha(alpha, part) for part in (posterior.loc, posterior.scale, draw)))

    def evidence(self, utterances: Utterances, *draw: Any) -> Evidence:
        """What the rule for r may need, given q(z | alpha) and its draw; no draw, no bounds on a noisy recording."""
        bounds = partial(self.bounds, utterances, *draw) if draw else _no_bounds
        return Evidence(bounds, partial(self.visual_prediction, utterances))

    def visual_prediction(self, utterances: Utterances) -> tuple[Gaussian, Tensor]:
        """Mean and scale of z by the mouth, each (B, N, L), and the variance of speech at that mean, (B, N, F)."""
        predicted, prior = self.encode_visual(utterances), self._prior[0]
        latent = latent_at(prior, utterances, alpha=predicted[0].new_zeros(()), z=predicted[0])
        return predicted, prior.speech_variance(latent, utterances)

    def bounds(
        self, utterances: Utterances, posterior: dist.Normal, draw: Tensor
    ) -> tuple[dist.Distribution, Tensor, Tensor]:
        """p(alpha), (B, N), and the bounds L_a and L_v at a draw, each (..., B, N). Equation :eq:`branch-bound`.

        Each is ``E_q[log p(s | z, alpha)] - KL(q || p(z | alpha))``.

        Args:
            utterances: the batch.
            posterior: q(z | alpha), parameters (2, B, N, L).
            draw: z drawn from it, (..., 2, B, N, L).

        Raises:
            UserError: the prior has no mixture variable.
        """
        prior = self._prior[0]
        found = branches(prior, posterior.to_event(1), draw, utterances)
        if found is None:
            raise UserError(
                f"{type(self).__name__} needs a prior with a mixture variable alpha, and {type(prior).__name__} has "
                "none: choose another guide, such as AudioGuide."
            )
        bound = prior.likelihood(found.latent, utterances).log_prob(utterances.spectrum) - found.divergence
        visual, audio = bound.unbind(-3)
        return found.prior, audio, visual


def _no_bounds() -> Any:
    raise ValueError("bounds can be had of clean speech only")


class SharedGuide(MixtureGuide):
    """One posterior of z whatever alpha, q(alpha) q(z), for a prior whose visual component depends on the mouth.

    Clean speech determines z by itself; what is learnt is how well the mouth predicts it (the divergence
    ``KL(q(z | s) || p(z | alpha = 0, mouth))``, arXiv 1908.02590) and when it can be trusted. Both alphas share one
    draw, so the likelihood cancels from ``L_a - L_v`` to the last digit: equation :eq:`shared-evidence`.

    Args:
        prior: the prior that is trained.
        posterior: maps utterances to mean and scale; the audio encoder on clean speech when omitted.
        responsibility: the rule for r; collapsed when omitted.
    """

    z_by_alpha = False

    def __init__(
        self, prior: MinVAE, posterior: ZPosterior | None = None, responsibility: Responsibility | None = None
    ) -> None:
        posterior = CleanAudioEncoder() if posterior is None else posterior
        super().__init__(prior, posterior, posterior, responsibility)

    def encode_visual(self, utterances: Utterances) -> Gaussian:
        """Where z may start at test time, from the mouth: the visual component of the prior."""
        mean, scale = self._prior[0].visual_component(utterances)
        shape = (*utterances.mask.shape, mean.shape[-1])
        return mean.expand(shape), scale.expand(shape)

    def posteriors(self, utterances: Utterances) -> Gaussian:
        """Mean and scale of q(z), (2, B, N, L), alike along axis 0; the encoder runs once."""
        mean, scale = self.audio(utterances)
        return mean.expand(2, *mean.shape), scale.expand(2, *scale.shape)

    def draw(self, posterior: dist.Normal) -> Tensor:
        """One draw of z, the same under each alpha, (..., 2, B, N, L), in front whatever plates are around."""
        around = plates_around()
        draw = dist.Normal(posterior.loc[0], posterior.scale[0]).rsample(around)
        return draw.unsqueeze(-4).expand(around + posterior.loc.shape)

    def z_posterior(self, alpha: Tensor, posterior: dist.Normal, draw: Tensor) -> PresampledNormal:
        """q(z), which does not depend on alpha: the decoder runs once."""
        return PresampledNormal(posterior.loc[0], posterior.scale[0], draw.select(-4, 0))
