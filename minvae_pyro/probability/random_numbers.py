"""Random numbers of a batch that are those of a recording alone: whatever is beside it, whatever padding follows.

Every recording gets the same numbers, frame by frame. A frame's do not depend on how many frames there are, nor on the
device: they are drawn on the CPU, in an order that begins alike for a short and a long recording.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor

_BLOCK = 16
"""torch draws normal numbers in blocks of so many; all but whole ones would change with their count."""


def normal(shape: Sequence[int], like: Tensor, generator: Generator | None = None) -> Tensor:
    """Standard normal numbers for tensors (..., B, N, L), of the shape (..., 1, N, L).

    Args:
        shape: of what they are for.
        like: has their dtype and device.
        generator: on the CPU; when omitted, one that a single number of the default generator seeds.
    """
    *draws, _, frames, dim = shape
    count = math.prod(draws) * frames * dim
    blocks = torch.randn(math.ceil(count / _BLOCK) * _BLOCK, generator=_seeded(generator), dtype=like.dtype)
    numbers = blocks[:count].view(frames, *draws, dim).movedim(0, -2)
    return numbers.unsqueeze(-3).to(like.device)


def uniform(shape: Sequence[int], like: Tensor, generator: Generator | None = None) -> Tensor:
    """Numbers between 0 and 1 for tensors (..., B, N), of the shape (..., 1, N); arguments as of :func:`normal`."""
    *draws, _, frames = shape
    numbers = torch.rand(frames, *draws, generator=_seeded(generator), dtype=like.dtype).movedim(0, -1)
    return numbers.unsqueeze(-2).to(like.device)


def _seeded(generator: Generator | None) -> Generator:
    if generator is not None:
        return generator
    return torch.Generator().manual_seed(int(torch.randint(2**62, ())))
