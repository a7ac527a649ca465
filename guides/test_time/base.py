"""What every guide at test time is: one posterior per recording, started by the encoders and then fitted."""

from __future__ import annotations

import copy
from abc import abstractmethod
from typing import Any, ClassVar, Self

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from minvae_pyro.guides.alpha_posterior import Story, alpha_posterior, both_alphas, branches, by_alpha, latent_trace
from minvae_pyro.guides.base import TrainingGuide
from minvae_pyro.models.speech_prior import SpeechPrior, require_own_frames
from minvae_pyro.probability.handlers import in_force
from minvae_pyro.probability.normals import CommonRandomNormal, Gaussian
from minvae_pyro.probability.parameters import AbstractPyroModule
from minvae_pyro.utterances import Utterances

DRAWS = 4
"""Draws of z over which q(alpha) averages the likelihood, where the likelihood depends on alpha."""


class UtteranceGuide(AbstractPyroModule):
    """A posterior of recordings; a subclass holds q(z) and says how it starts (:meth:`initialise`).

    The constructor takes settings alone, for the command line; :meth:`start` gives the one of a batch of recordings.

    Attributes:
        framewise: names of the parameters that are (..., B, N, L), one value for each frame.
        z_by_alpha: whether z of a prior with alpha is one for each alpha.
        alpha: q(alpha), batch shape (B, N); None for a prior without it.
        patience: share of an engine's run, 0 to 1, before which q(alpha) stays as it starts.
    """

    framewise: ClassVar[tuple[str, ...]] = ("mean", "scale")
    z_by_alpha: ClassVar[bool] = False
    patience: float = 0.0
    alpha: dist.Distribution | None = None
    _given = False

    def __init__(self) -> None:
        super().__init__()

    def start(
        self,
        prior: SpeechPrior,
        utterances: Utterances,
        begin: Gaussian,
        encoders: TrainingGuide | None = None,
        log_odds: Tensor | None = None,
    ) -> Self:
        """A copy ready to be fitted to these recordings.

        Args:
            prior: any speech prior.
            utterances: the noisy batch.
            begin: mean and scale of q(z) before the first step, each (B, N, L).
            encoders: the trained guide.
            log_odds: of alpha = 1, (B, N), by a learnt gate, which fixes q(alpha); else see :meth:`update_alpha`.

        Raises:
            UserError: frames of the prior depend on z of their neighbours, and the guide has a z for each alpha.
        """
        twin = copy.deepcopy(self)
        with torch.no_grad():
            alpha = latent_trace(prior, utterances, alpha=both_alphas(begin[0]), z=begin[0]).nodes.get("alpha")
        twin.initialise(utterances, begin, encoders, alpha is not None)
        if alpha is not None:
            if twin.z_by_alpha:
                require_own_frames(prior, twin)
            twin._given = log_odds is not None
            twin.alpha = in_force(alpha["fn"] if log_odds is None else dist.Bernoulli(logits=log_odds))
        return twin

    @abstractmethod
    def initialise(self, utterances: Utterances, begin: Gaussian, encoders: TrainingGuide | None, mixed: bool) -> None:
        """Set the parameters of q(z) to where they start, as of :meth:`start`; ``mixed`` if the prior has alpha."""

    @torch.no_grad()
    def warm_start(self, earlier: Self, dropped: int) -> None:
        """Take over what was fitted to an earlier window over the recording; new frames stay where they start.

        Args:
            earlier: the guide of that window, for the same prior.
            dropped: how many of its first frames have left the window.
        """
        before = dict(earlier.named_parameters())
        for name, parameter in self.named_parameters():
            if name.removesuffix("_unconstrained") in self.framewise:
                known = before[name][..., dropped:, :]
                parameter[..., : known.shape[-2], :] = known
            else:
                parameter.copy_(before[name])

    @abstractmethod
    def z_posterior(self) -> dist.Distribution:
        """q(z) of each frame by itself, batch shape (B, N), or q(z | alpha), (2, B, N); event shape (L,)."""

    def z_given(self, alpha: Tensor | None) -> dist.Distribution:
        """What z is drawn from: the joint distribution, for a guide whose frames are dependent.

        Args:
            alpha: broadcasting to (..., B, N), perhaps enumerated; None for both of q(z | alpha) side by side.
        """
        posterior: Any = self.z_posterior()
        if alpha is None or len(posterior.batch_shape) < 3:
            return posterior
        normal = posterior.base_dist
        return CommonRandomNormal(by_alpha(alpha, normal.loc), by_alpha(alpha, normal.scale)).to_event(1)

    def forward(self, utterances: Utterances) -> None:
        """Sample ``alpha`` (to be enumerated) where the prior has it, and ``z``."""
        with utterances.plates().every_frame():
            alpha = None
            if self.alpha is not None:
                alpha = pyro.sample("alpha", self.alpha, infer={"enumerate": "parallel"})
            pyro.sample("z", self.z_given(alpha))

    @torch.no_grad()
    def draw(self, samples: int) -> dict[str, Tensor]:
        """Draws of the continuous sites: z, (S, B, N, L), or (S, 2, B, N, L) where it depends on alpha."""
        return {"z": self.z_given(None).sample((samples,))}

    @torch.no_grad()
    def update_alpha(self, story: Story, utterances: Utterances, done: float = 1.0) -> bool:
        """Set q(alpha) to its closed form given q(z | alpha) (arXiv 1912.10647, speech enhancement).

        ``log p(alpha) + E_q[log p(observed | z, alpha)] - KL(q(z | alpha) || p(z | alpha))``, normalised: equation
        :eq:`frame-evidence`. A likelihood that does not depend on alpha cancels and is not computed.

        Args:
            story: the noisy mixture, or the prior when ``utterances`` are of clean speech.
            utterances: the batch.
            done: share of the engine's run that is behind, 0 to 1.

        Returns:
            bool: False where q(alpha) stays as it is: there is none, it was given or it is too early.
        """
        if self.alpha is None or self._given or done < self.patience:
            return False
        self.alpha = self.alpha_posterior(story, utterances)
        return True

    def alpha_posterior(self, story: Story, utterances: Utterances) -> dist.Distribution:
        """The closed form of q(alpha), batch shape (B, N); arguments as of :meth:`update_alpha`."""
        posterior: Any = self.z_posterior()
        found = branches(story, posterior, posterior.mean, utterances)
        assert found is not None
        evidence = found.divergence[0] - found.divergence[1]
        if found.likelihood_differs:
            drawn = branches(story, posterior, with_branches(posterior.sample((DRAWS,))), utterances)
            assert drawn is not None
            with pyro.validation_enabled(False):
                likelihood = story.likelihood(drawn.latent, utterances).log_prob(utterances.spectrum).mean(0)
            evidence = evidence + likelihood[1] - likelihood[0]
        return alpha_posterior(found.prior, evidence, utterances)

    @property
    def responsibility(self) -> Tensor | None:
        """r, (B, N), or None for a prior without ``alpha``."""
        return None if self.alpha is None else self.alpha.mean

    @property
    def draw_responsibility(self) -> Tensor | None:
        """What :meth:`draw` gives has this r, (S, B, N), or (B, N) where it does not depend on z."""
        return self.responsibility


def with_branches(draws: Tensor) -> Tensor:
    """Draws of z, (S, B, N, L) or (S, 2, B, N, L), with an axis for alpha: (S, 1, B, N, L) or as they are."""
    return draws if draws.dim() == 5 else draws.unsqueeze(1)
