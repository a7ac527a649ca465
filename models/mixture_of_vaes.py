"""Two trained VAEs, each frame choosing between them: VAE-MM (arXiv 1911.03930) and SwVAE (arXiv 2102.04144)."""

from __future__ import annotations

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from minvae_pyro.errors import UserError
from minvae_pyro.models.alpha_priors import AlphaPrior, LearntAlphaPrior, LearntMarkovAlphaPrior
from minvae_pyro.models.audio_visual import ConditionalVAE
from minvae_pyro.models.speech_prior import Latent, SpeechPrior
from minvae_pyro.models.vae import AudioVAE
from minvae_pyro.utterances import Plates, Utterances


class MixtureOfVAEs(SpeechPrior):
    """VAE-MM: each frame is told by one of two whole VAEs, prior of z and decoder both (arXiv 1911.03930).

    ::

        for n in frames:
            alpha[n] ~ Bernoulli(pi)                            # alpha_prior; 1 audio, 0 visual
            z[n] | alpha[n] = 1 ~ audio.z_prior                 # z_prior
            z[n] | alpha[n] = 0 ~ visual.z_prior
            s[n] | alpha[n] = 1 ~ N_c(0, diag audio variance(z[n]))     # speech_variance
            s[n] | alpha[n] = 0 ~ N_c(0, diag visual variance(z[n]))

    The two do not share a latent space: z means something else
    under each alpha, and alpha has a say in the likelihood, equation :eq:`two-decoders`.

    Args:
        audio: the VAE of frames whose mouth cannot be trusted; A-VAE when omitted.
        visual: the VAE of the others; AV-CVAE when omitted. Both give ``z_prior(utterances)``, a diagonal normal.
        alpha_prior: p(alpha); one learnt pi when omitted.

    Raises:
        UserError: the codes of the two differ in size.
    """

    def __init__(
        self,
        audio: SpeechPrior | None = None,
        visual: SpeechPrior | None = None,
        alpha_prior: AlphaPrior | None = None,
    ) -> None:
        super().__init__()
        self.audio = AudioVAE() if audio is None else audio
        self.visual = ConditionalVAE() if visual is None else visual
        self.alpha_prior = LearntAlphaPrior() if alpha_prior is None else alpha_prior
        if self.audio.latent_dim != self.visual.latent_dim:
            raise UserError(
                f"audio and visual need codes of one size, not {self.audio.latent_dim} and {self.visual.latent_dim}."
            )
        self.latent_dim = self.audio.latent_dim

    def z_prior(self, alpha: Tensor, utterances: Utterances) -> dist.Distribution:
        """p(z | alpha), event shape (L,); the VAE is picked by broadcasting, so alpha may be enumerated.

        Args:
            alpha: (..., B, N), or anything that broadcasts to it.
            utterances: the batch.
        """
        heard = alpha[..., None] == 1
        audio, visual = (part.z_prior(utterances).base_dist for part in (self.audio, self.visual))
        mean = torch.where(heard, audio.loc, visual.loc)
        return dist.Normal(mean, torch.where(heard, audio.scale, visual.scale)).to_event(1)

    def latent(self, utterances: Utterances, plates: Plates) -> Latent:
        """Sample ``alpha`` and ``z``, both of which set the variance."""
        with plates.every_frame():
            alpha = pyro.sample("alpha", self.alpha_prior(utterances))
            return Latent(pyro.sample("z", self.z_prior(alpha, utterances)), alpha)

    def speech_variance(self, latent: Latent, utterances: Utterances) -> Tensor:
        """Variance of speech (..., B, N, F) from z (..., B, N, L) and alpha."""
        z, alpha = latent
        assert alpha is not None
        if alpha.dim() > 2 and alpha[0].numel() == 1:  # one value for all frames at a time: only its own VAE is asked
            leading = torch.broadcast_shapes(z.shape[:-1], alpha.shape)
            axis = len(leading) - alpha.dim()
            values = z.expand(*leading, -1).unbind(axis)
            vaes = [self.audio if value == 1 else self.visual for value in alpha.flatten()]
            variances = [vae.speech_variance(Latent(z), utterances) for vae, z in zip(vaes, values, strict=True)]
            return torch.stack(variances, axis)
        audio, visual = (vae.speech_variance(Latent(z), utterances) for vae in (self.audio, self.visual))
        return torch.where(alpha[..., None] == 1, audio, visual)

    def m_step(self, alpha: dist.Distribution, utterances: Utterances) -> None:
        """Re-estimate p(alpha); does nothing before :meth:`condition_on` has given every recording one of its own."""
        self.alpha_prior.m_step(alpha, utterances)


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
        alpha_prior: the chain of alpha; a learnt one when omitted.

    Raises:
        UserError: the codes of the two differ in size.
    """

    def __init__(
        self,
        audio: SpeechPrior | None = None,
        visual: SpeechPrior | None = None,
        alpha_prior: AlphaPrior | None = None,
    ) -> None:
        super().__init__(audio, visual, LearntMarkovAlphaPrior() if alpha_prior is None else alpha_prior)
