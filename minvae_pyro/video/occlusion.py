"""Wrong mouths: which picture each frame shows and whether it is visible, and functions of a batch made of that."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from minvae_pyro.errors import UserError
from minvae_pyro.utterances import Utterances

T = TypeVar("T")

Occlusion = Callable[[Utterances], Utterances]
"""What happens to the mouth: a batch in, a batch with another ``mouth`` and ``mouth_seen`` out."""


def frozen_time(time: Tensor, start: int | Tensor) -> Tensor:
    """From frame ``start`` on, the picture of that frame stands still; ``time`` is shown without."""
    return time.clamp(max=start)


def repeated_time(time: Tensor, length: Tensor) -> Tensor:
    """A video of ``length`` frames begins again where it has ended; ``time`` is shown without."""
    return time % length.clamp(min=1)


def own_time(utterances: Utterances) -> Tensor:
    """The number of each frame, (B, N): what the right video shows."""
    return torch.arange(utterances.frames, device=utterances.mask.device).expand(utterances.mask.shape)


def show(utterances: Utterances, time: Tensor, row: Tensor | None = None) -> Utterances:
    """Show the pictures of frames ``time``, (B, N), of the same batch, of utterance ``row`` (its own if omitted)."""
    if not utterances.mouth_seen.any():
        return utterances.without_mouth()
    row = torch.arange(len(utterances), device=time.device)[:, None] if row is None else row
    return utterances.replace(mouth=utterances.mouth[row, time], mouth_seen=utterances.mouth_seen[row, time])


def hide(utterances: Utterances, hidden: Tensor) -> Utterances:
    """Take the mouth away from the frames ``hidden``, broadcast to (B, N)."""
    left = utterances.mouth_seen & ~hidden
    if not left.any():
        return utterances.without_mouth()
    return utterances.replace(mouth=utterances.mouth * left[..., None, None], mouth_seen=left)


def occlude(fn: Callable[..., T], how: Occlusion) -> Callable[..., T]:
    """A callable that gets other mouths, whichever of its arguments are utterances.

    ``fn`` is a model, a guide, :func:`minvae_pyro.inference.infer` or the like; ``how`` is one of :func:`masked`,
    :func:`frozen`, :func:`shuffled` and :func:`late`, or a function of your own.
    """

    def other(argument: Any) -> Any:
        return how(argument) if isinstance(argument, Utterances) else argument

    @functools.wraps(fn, updated=())
    def occluded(*args: Any, **kwargs: Any) -> T:
        return fn(*map(other, args), **{name: other(argument) for name, argument in kwargs.items()})

    return occluded


def masked(start: int = 0, stop: int | None = None) -> Occlusion:
    """Frames from ``start`` up to, not including, ``stop`` have no mouth; all of them when neither is given.

    Example:
        >>> utterances = Utterances.from_spectrum(torch.ones(5, 3), torch.ones(5, 67, 67))
        >>> masked(1, 3)(utterances).mouth_seen
        tensor([[ True, False, False,  True,  True]])
    """

    def how(utterances: Utterances) -> Utterances:
        hidden = ~utterances.mask
        hidden[:, start:stop] = True
        return hide(utterances, hidden)

    return how


def frozen(frame: int) -> Occlusion:
    """From ``frame`` on, the picture of that frame stands still.

    Raises:
        UserError: ``frame`` is negative.
    """
    if frame < 0:
        raise UserError(f"a mouth cannot freeze at frame {frame}: count frames from the start, 0 or more.")
    return lambda utterances: hide(show(utterances, frozen_time(own_time(utterances), frame)), ~utterances.mask)


def shuffled(seed: int) -> Occlusion:
    """The frames of each utterance come in another order, the same pictures at the wrong times."""

    def how(utterances: Utterances) -> Utterances:
        generator = torch.Generator().manual_seed(seed)
        key = torch.rand(utterances.mask.shape, generator=generator).to(utterances.mask.device)
        # padding sorts behind every frame
        time = torch.where(utterances.mask, key, 1 + own_time(utterances)).argsort(1)
        return hide(show(utterances, time), ~utterances.mask)

    return how


def late(frames: int) -> Occlusion:
    """The video runs behind the sound; before it begins there is no mouth.

    Example:
        >>> mouth = torch.arange(4.0)[:, None, None].expand(4, 67, 67) / 4
        >>> utterances = Utterances.from_spectrum(torch.ones(4, 3), mouth)
        >>> late(1)(utterances).mouth[0, :, 0, 0], late(1)(utterances).mouth_seen
        (tensor([0.0000, 0.0000, 0.2500, 0.5000]), tensor([[False,  True,  True,  True]]))
    """

    def how(utterances: Utterances) -> Utterances:
        time = own_time(utterances) - frames
        return hide(show(utterances, time.clamp(min=0)), (time < 0) | ~utterances.mask)

    return how
