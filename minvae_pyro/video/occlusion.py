"""Wrong mouths: hidden, frozen, late, shuffled, as functions of a batch."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from minvae_pyro.utterances import Utterances

T = TypeVar("T")

Occlusion = Callable[[Utterances], Utterances]
"""What happens to the mouth: a batch in, a batch with another ``mouth`` and ``mouth_seen`` out."""


def occlude(fn: Callable[..., T], how: Occlusion) -> Callable[..., T]:
    """A callable that sees other mouths, whichever of its arguments are utterances.

    Args:
        fn: a model, a guide, :func:`minvae_pyro.inference.infer`, anything that is called with utterances.
        how: one of :func:`masked`, :func:`frozen`, :func:`shuffled` and :func:`late`, or a function of your own.
    """

    def see(argument: Any) -> Any:
        return how(argument) if isinstance(argument, Utterances) else argument

    @functools.wraps(fn, updated=())
    def occluded(*args: Any, **kwargs: Any) -> T:
        return fn(*map(see, args), **{name: see(argument) for name, argument in kwargs.items()})

    return occluded


def masked(start: int = 0, stop: int | None = None) -> Occlusion:
    """Frames from ``start`` up to, not including, ``stop`` are unseen; all of them when neither is given.

    Example:
        >>> utterances = Utterances.from_spectrum(torch.ones(5, 3), torch.ones(5, 67, 67))
        >>> masked(1, 3)(utterances).mouth_seen
        tensor([[ True, False, False,  True,  True]])
    """

    def how(utterances: Utterances) -> Utterances:
        hidden = torch.zeros_like(utterances.mouth_seen)
        hidden[:, start:stop] = True
        return _showing(utterances, _clock(utterances), utterances.mouth_seen & ~hidden)

    return how


def frozen(frame: int) -> Occlusion:
    """From ``frame`` on, the picture of that frame stands still."""

    def how(utterances: Utterances) -> Utterances:
        time = _clock(utterances).clamp(max=frame)
        return _showing(utterances, time, utterances.mouth_seen.gather(1, time))

    return how


def shuffled(seed: int) -> Occlusion:
    """The frames of each utterance come in another order, the same pictures at the wrong times."""

    def how(utterances: Utterances) -> Utterances:
        generator = torch.Generator().manual_seed(seed)
        key = torch.rand(utterances.mask.shape, generator=generator).to(utterances.mask.device)
        # padding sorts behind every frame
        time = torch.where(utterances.mask, key, 1 + _clock(utterances)).argsort(1)
        return _showing(utterances, time, utterances.mouth_seen.gather(1, time))

    return how


def late(frames: int) -> Occlusion:
    """The video runs behind the sound; before it begins nothing is seen.

    Example:
        >>> mouth = torch.arange(4.0)[:, None, None].expand(4, 67, 67) / 4
        >>> utterances = Utterances.from_spectrum(torch.ones(4, 3), mouth)
        >>> late(1)(utterances).mouth[0, :, 0, 0], late(1)(utterances).mouth_seen
        (tensor([0.0000, 0.0000, 0.2500, 0.5000]), tensor([[False,  True,  True,  True]]))
    """

    def how(utterances: Utterances) -> Utterances:
        time = _clock(utterances) - frames
        begun = time >= 0
        time = time.clamp(min=0)
        return _showing(utterances, time, utterances.mouth_seen.gather(1, time) & begun)

    return how


def _clock(utterances: Utterances) -> Tensor:
    """The number of each frame, (B, N)."""
    return torch.arange(utterances.frames, device=utterances.mask.device).expand(utterances.mask.shape)


def _showing(utterances: Utterances, time: Tensor, seen: Tensor) -> Utterances:
    """Show in each frame the picture of frame ``time``, (B, N), where ``seen``, (B, N)."""
    if not seen.any():
        return utterances.without_mouth()
    seen = seen & utterances.mask
    row = torch.arange(len(utterances), device=time.device)[:, None]
    return utterances.replace(mouth=utterances.mouth[row, time] * seen[..., None, None], mouth_seen=seen)
