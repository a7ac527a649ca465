"""A guide at test time that keeps the trained encoders and fine-tunes their weights on the recording."""

from __future__ import annotations

import pyro.distributions as dist
import torch
from pyro.nn import PyroParam
from torch import Tensor, nn
from torch.distributions import constraints
from torch.func import functional_call

from minvae_pyro.errors import UserError
from minvae_pyro.guides.base import TrainingGuide
from minvae_pyro.guides.test_time.base import UtteranceGuide
from minvae_pyro.probability.normals import CommonRandomNormal, Gaussian
from minvae_pyro.utterances import Utterances


class AmortisedGuide(UtteranceGuide):
    """The trained encoders, their weights fine-tuned on each recording (semi-amortised inference, arXiv 1802.02550).

    ::

        for n in frames:
            alpha[n] ~ q(alpha[n])                                  # enumerated
            z[n] | alpha[n] = 1 ~ N(audio encoder(power[n]; trained weights + rate * change))
            # from the visual encoder, fitted freely
            z[n] | alpha[n] = 0 ~ N(mean[n], diag scale[n]^2)

    A prior without alpha has the first of the two alone. Frames that sound alike get similar z, so that noise in one
    frame moves its z less than where each frame has free parameters. The mouth network is large and runs once: its
    answer is where that posterior starts, as in :class:`minvae_pyro.guides.MixtureUtteranceGuide`. The trained guide
    does not change.

    Args:
        rate: how far a weight moves for one unit of what the engine's optimiser moves.
    """

    z_by_alpha = True

    def __init__(self, rate: float = 0.06) -> None:
        super().__init__()
        if not rate > 0:
            raise ValueError(f"fine-tuning needs a rate above 0, not {rate}")
        self.rate = rate

    def initialise(self, utterances: Utterances, begin: Gaussian, encoders: TrainingGuide | None, mixed: bool) -> None:
        """Start at the posterior of the encoders.

        Raises:
            UserError: there are no encoders to fine-tune.
        """
        if encoders is None:
            raise UserError("AmortisedGuide fine-tunes trained encoders, and there are none: choose MeanFieldGuide.")
        self._encodings = [_AudioEncoding(encoders, one) for one in utterances.one_by_one()]
        self._trained = self._encodings[0].weights()
        for number, value in enumerate(self._trained.values()):
            setattr(self, f"change{number}", PyroParam(value.new_zeros(len(utterances), *value.shape)))
        self._mixed = mixed
        if mixed:
            with torch.no_grad():
                mean, scale = encoders.encode_visual(utterances)
            self.mean = PyroParam(mean.clone())
            self.scale = PyroParam(scale.clone(), constraint=constraints.positive)

    def z_posterior(self) -> dist.Distribution:
        """q(z | alpha), batch shape (2, B, N); q(z), batch shape (B, N), for a prior without alpha."""
        mean, scale = self._encoded()
        if self._mixed:
            mean, scale = torch.stack([self.mean, mean]), torch.stack([self.scale, scale])
        return CommonRandomNormal(mean, scale).to_event(1)

    def _encoded(self) -> Gaussian:
        """Mean and scale by each recording's own encoder, each (B, N, L)."""
        changes = [getattr(self, f"change{number}") for number in range(len(self._trained))]
        found = []
        for row, encoding in enumerate(self._encodings):
            weights = {
                name: value + self.rate * change[row]
                for (name, value), change in zip(self._trained.items(), changes, strict=True)
            }
            found.append(encoding.with_weights(weights))
        mean, scale = (torch.cat(parts) for parts in zip(*found, strict=True))
        return mean, scale


class _AudioEncoding(nn.Module):
    """What trained encoders make of the sound of one recording, as a module's only answer."""

    def __init__(self, encoders: TrainingGuide, utterances: Utterances) -> None:
        super().__init__()
        # what the prior makes of the mouth is not fine-tuned
        self.encoders = encoders.condition_on(utterances)
        self.utterances = utterances

    def forward(self) -> Gaussian:
        return self.encoders.encode_audio(self.utterances)

    def with_weights(self, weights: dict[str, Tensor]) -> Gaussian:
        """The answer that other weights give."""
        # untied: a module under two names, such as a shared encoder, would not get its own weights back
        mean, scale = functional_call(self, weights, (), tie_weights=False)
        return mean, scale

    def weights(self) -> dict[str, Tensor]:
        """The weights that the answer depends on, by name, detached."""
        trained = {name: value.detach().clone().requires_grad_() for name, value in self.named_parameters()}
        with torch.enable_grad():
            mean, scale = self.with_weights(trained)
            total = mean.sum() + scale.sum()
        slopes = torch.autograd.grad(total, list(trained.values()), allow_unused=True)
        return {
            name: value.detach()
            for (name, value), slope in zip(trained.items(), slopes, strict=True)
            if slope is not None
        }
