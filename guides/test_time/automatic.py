"""Pyro's own guides at test time: an automatic guide, or a function, in the place of q(z)."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable
from typing import Any, Self

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.infer.autoguide import (
    AutoGuide,
    AutoIAFNormal,
    AutoMultivariateNormal,
    AutoNormal,
    AutoNormalizingFlow,
    init_to_value,
)
from pyro.poutine.messenger import Messenger
from torch import Tensor
from torch.distributions import constraints, transform_to
from torch.distributions.transforms import AffineTransform

from minvae_pyro.errors import UserError
from minvae_pyro.guides.alpha_posterior import Story, alpha_posterior, both_alphas, latent_trace
from minvae_pyro.guides.base import TrainingGuide
from minvae_pyro.guides.test_time.base import UtteranceGuide
from minvae_pyro.guides.test_time.log_joint import latent_joint
from minvae_pyro.models.speech_prior import SpeechPrior, require_own_frames
from minvae_pyro.probability.handlers import hidden_block
from minvae_pyro.probability.normals import Gaussian
from minvae_pyro.probability.parameters import local_parameters
from minvae_pyro.utterances import Utterances

DRAWS = 16
"""Draws of z that stand for q(z) where its density is not known frame by frame."""

_MATRICES = {AutoMultivariateNormal: 1, AutoIAFNormal: 3}
"""Guides whose parameters are so many matrices of all dimensions of z by all."""

_MOST_BYTES = 4e9  # for parameters, gradients and the two moments of Adam


class PyroGuide(UtteranceGuide):
    """q(z) by one of Pyro's automatic guides or by a function, beside the closed form of q(alpha).

    ::

        for n in frames:
            alpha[n] ~ q(alpha[n])          # only for priors that have it; enumerated
        z ~ guide(recordings)               # all frames together: they may depend on each other

    An automatic guide is made for the latent sites of the prior but ``alpha``. Where the product's start is, it begins:
    with its mean as the initial location, and with its mean scale as ``init_scale`` where the guide has one and none is
    given; a normalising flow is moved and scaled there. A function is called with the recordings, and with mean and
    scale of the start, each (B, N, L), if it has a second argument; it samples ``z``, (B, N, L), and may sample
    ``alpha`` itself before, which is enumerated, also where z depends on it. Its ``pyro.param`` belong to this guide
    alone.

    Args:
        guide: a subclass of ``pyro.infer.autoguide.AutoGuide``, or a function.
        **arguments: of the automatic guide.

    Example:
        >>> from minvae_pyro.models import AudioVAE
        >>> noisy = Utterances.from_spectrum(torch.ones(7, 513, dtype=torch.complex64))
        >>> begin = torch.zeros(1, 7, 32), torch.ones(1, 7, 32)
        >>> guide = PyroGuide(AutoNormal, init_scale=0.2).start(AudioVAE(), noisy, begin)
        >>> guide.draw(3)["z"].shape
        torch.Size([3, 1, 7, 32])
    """

    def __init__(self, guide: type[AutoGuide] | Callable[..., Any] = AutoNormal, **arguments: Any) -> None:
        super().__init__()
        if arguments and not _is_automatic(guide):
            raise ValueError(f"a function takes no arguments but the recordings and the start, not {sorted(arguments)}")
        self.chosen, self.arguments = guide, arguments
        self._samples_alpha = False

    def start(
        self,
        prior: SpeechPrior,
        utterances: Utterances,
        begin: Gaussian,
        encoders: TrainingGuide | None = None,
        log_odds: Tensor | None = None,
    ) -> Self:
        """A copy ready to be fitted, see :meth:`UtteranceGuide.start`.

        Raises:
            UserError: the guide does not sample what the prior samples.
        """
        twin = super().start(prior, utterances, begin, encoders, log_odds)
        twin._prior, twin._utterances = [prior], utterances
        sites = latent_trace(prior, utterances).nodes
        twin._names = [name for name, site in sites.items() if site["type"] == "sample" and name != "alpha"]
        twin._begin_at(begin)
        twin._check()
        return twin

    def initialise(self, utterances: Utterances, begin: Gaussian, encoders: TrainingGuide | None, mixed: bool) -> None:
        """Nothing is known of the prior yet: :meth:`start` does the rest."""

    def _begin_at(self, begin: Gaussian) -> None:
        shape = (*self._utterances.mask.shape, begin[0].shape[-1])
        self._begin = begin[0].detach().expand(shape).clone(), begin[1].detach().expand(shape).clone()
        self._own: dict[str, tuple[Tensor, Any]] = {}
        if _is_automatic(self.chosen):
            self.automatic = _automatic(self.chosen, self.arguments, self._story, self._begin)

    def _check(self) -> None:
        name, automatic = self.chosen.__name__, _is_automatic(self.chosen)
        self._samples_alpha = not automatic  # to see whether the function does
        try:
            with torch.no_grad():
                found = self._trace().nodes
        except (NotImplementedError, TypeError) as error:
            raise UserError(f"{name} cannot be the guide of this prior: {type(error).__name__}, {error}.") from error
        for parameter in self.parameters():
            # Pyro asks every parameter for this, and with local parameters forgets to set it on plain ones
            parameter.unconstrained = weakref.ref(parameter)
        lacks = [site for site in self._names if site not in found]
        if lacks:
            raise UserError(f"{name} does not sample {', '.join(lacks)}, which the prior samples: let it do so.")
        self._samples_alpha = not automatic and "alpha" in found
        if self._samples_alpha:
            # its z may depend on alpha
            require_own_frames(self._prior[0], self)
        if found["z"]["value"].shape[-3:] != self._begin[0].shape:
            shapes = tuple(found["z"]["value"].shape), tuple(self._begin[0].shape)
            raise UserError(f"{name} samples z of shape {shapes[0]}, and the prior needs {shapes[1]}.")

    def _story(self, utterances: Utterances) -> None:
        """The latent sites of the prior but alpha."""
        with poutine.block(hide=["alpha"]):
            self._prior[0].latent(utterances, utterances.plates())

    def forward(self, utterances: Utterances) -> None:
        """Sample ``alpha`` (to be enumerated) where the prior has it, and all other sites by the guide."""
        if _is_automatic(self.chosen):
            sites = self.automatic(utterances)
            if not self._utterances.mask.all():
                # frames that do not exist have a standard normal, or their scales would grow without end
                outside = ~utterances.mask[..., None]
                score = (dist.Normal(0, 1).log_prob(sites["z"]) * outside).sum(-1)
                # of each particle by itself: what is left of utterances and frames stays
                pyro.factor("padding", -score.sum((-2, -1), keepdim=True), has_rsample=True)
        else:
            guide = poutine.infer_config(self.chosen, _enumerated)
            with _OwnParameters(self._own):
                guide(utterances, self._begin) if _takes_start(self.chosen) else guide(utterances)
        if self.alpha is not None and not self._samples_alpha:
            # last, for enumeration wants sites outside of plates before those inside. The guide has made these plates
            # as well, and a trace has room for one of each name
            with poutine.block(hide=["utterances", "frames"]):
                plates = utterances.plates()
            with plates.every_frame():
                pyro.sample("alpha", self.alpha, infer={"enumerate": "parallel"})

    def _trace(self, **known: Tensor) -> Any:
        """One run of the guide, by itself, with known values of some of its sites."""
        with hidden_block(), local_parameters(self), pyro.validation_enabled(False):
            return poutine.trace(poutine.condition(self, data=known)).get_trace(self._utterances)

    @torch.no_grad()
    def draw(self, samples: int) -> dict[str, Tensor]:
        """Draws of the continuous sites: z, (S, B, N, L), or (S, 2, B, N, L) where it depends on alpha."""
        known = {"alpha": both_alphas(self._begin[0])} if self._samples_alpha else {}
        runs = [self._trace(**known).nodes for _ in range(samples)]
        return {name: torch.stack([run[name]["value"] for run in runs]) for name in self._names}

    def z_posterior(self) -> dist.Distribution:
        """A Dirac at the mean of z over some draws, batch shape (B, N), or (2, B, N) where it depends on alpha."""
        return dist.Delta(self.draw(DRAWS)["z"].mean(0), event_dim=1)

    @torch.no_grad()
    def update_alpha(self, story: Story, utterances: Utterances, done: float = 1.0) -> bool:
        """Set q(alpha) to its closed form given draws of z, or to what the function samples it from."""
        if not self._samples_alpha:
            return super().update_alpha(story, utterances, done)
        self.alpha = self._trace(alpha=both_alphas(self._begin[0])).nodes["alpha"]["fn"]
        return True

    def alpha_posterior(self, story: Story, utterances: Utterances) -> dist.Distribution:
        """The closed form of q(alpha), batch shape (B, N): the entropy of z cancels, the rest is a mean over draws."""
        joint = latent_joint(story, self.draw(DRAWS)["z"], utterances)
        if joint.latent.alpha is not None:  # else the likelihood cancels
            joint = joint.observing(story)
        return alpha_posterior(joint.alpha, joint.evidence.mean(0), utterances)

    def warm_start(self, earlier: Self, dropped: int) -> None:
        """Begin at the mean that an earlier window ended with; a function begins anew."""
        if _is_automatic(self.chosen):
            known, (mean, scale) = earlier.draw(DRAWS)["z"].mean(0)[..., dropped:, :], self._begin
            mean[..., : known.shape[-2], :] = known
            self._begin_at((mean, scale))
            self._check()


class _OwnParameters(Messenger):
    """Keeps what ``pyro.param`` declares in a mapping instead of Pyro's store: unconstrained value and constraint."""

    def __init__(self, kept: dict[str, tuple[Tensor, Any]]) -> None:
        super().__init__()
        self.kept = kept

    def _pyro_param(self, msg: Any) -> None:
        name, *first = msg["args"]
        if name not in self.kept:
            if not first:
                raise UserError(f"the guide declares a parameter {name} without a first value.")
            constraint = msg["kwargs"].get("constraint") or constraints.real
            value = first[0]() if callable(first[0]) else first[0]
            free = transform_to(constraint).inv(value.detach()).clone().requires_grad_()
            self.kept[name] = free, constraint
        free, constraint = self.kept[name]
        value = transform_to(constraint)(free)
        value = free.view_as(free) if value is free else value
        value.unconstrained = weakref.ref(free)
        msg["value"], msg["done"] = value, True


def _is_automatic(guide: Any) -> bool:
    return inspect.isclass(guide) and issubclass(guide, AutoGuide)


def _takes_start(guide: Callable[..., Any]) -> bool:
    return len(inspect.signature(guide).parameters) > 1


def _enumerated(site: Any) -> dict[str, str]:
    return {"enumerate": "parallel"} if site["name"] == "alpha" else {}


def _automatic(guide: Any, arguments: dict[str, Any], story: Any, begin: Gaussian) -> AutoGuide:
    """An automatic guide of a story that begins at mean and scale."""
    mean, scale = begin
    size = mean.numel()
    bytes_needed = 16.0 * size**2 * _MATRICES.get(guide, 0) * arguments.get("num_transforms", 1)
    if bytes_needed > _MOST_BYTES:
        raise UserError(
            f"{guide.__name__} ties all {size} dimensions of z over all frames to each other, which takes "
            f"{bytes_needed / 1e9:.0f} GB: cut the recording, or choose AutoLowRankMultivariateNormal."
        )
    if issubclass(guide, AutoNormalizingFlow):
        if issubclass(guide, AutoIAFNormal):
            arguments = {"hidden_dim": [size], **arguments}  # the smallest that Pyro takes
        made = guide(story, **arguments)
        flow = made._init_transform_fn
        # flows begin at a standard normal, whatever they are told; without the cache their inverse is a loop
        last = AffineTransform(mean.flatten(), scale.flatten(), cache_size=1)
        made._init_transform_fn = lambda size: dist.transforms.ComposeTransformModule([flow(size), last])
        return made
    takes = {name for one in guide.__mro__[:-1] if "__init__" in vars(one) for name in _named(one.__init__)}
    usual: dict[str, Any] = {"init_loc_fn": init_to_value(values={"z": mean})} if "init_loc_fn" in takes else {}
    if "init_scale" in takes:
        usual["init_scale"] = float(scale.mean())
    return guide(story, **{**usual, **arguments})


def _named(function: Any) -> set[str]:
    return set(inspect.signature(function).parameters)
