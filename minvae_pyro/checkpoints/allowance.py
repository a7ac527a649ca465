"""How large a model may be: a description takes a few letters to ask for more memory than there is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_BY_SIZE = {torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn, torch.full}
_BY_NUMBER = {torch.arange: 0, torch.eye: 0, torch.linspace: 2, torch.logspace: 2}
"""Functions that are told a number of entries, and its place among the arguments."""


class Allowance(TorchFunctionMode):
    """While it is in force, no more tensors are made than a model of so many weights needs.

    ::

        with Allowance(weights) as allowance:
            make()              # ValueError where it asks for more, before any memory is taken

    Args:
        weights: of the model, as the file of its weights has it; buffers that are no weights may come on top.

    Attributes:
        exceeded: whether more was asked for, whatever became of the error.
    """

    def __init__(self, weights: int) -> None:
        super().__init__()
        self._left = 4 * weights + 1_000_000
        self.exceeded = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count what is asked for, then do it."""
        kwargs = kwargs or {}
        if func in _BY_SIZE:
            size = args[0] if args and isinstance(args[0], Sequence) else kwargs.get("size", args)
            self._take(math.prod(part for part in size if isinstance(part, int)))
        elif func in _BY_NUMBER:
            number = [*args, kwargs.get("steps", 0)][_BY_NUMBER[func] if _BY_NUMBER[func] < len(args) else -1]
            self._take(int(number) ** (2 if func is torch.eye else 1))
        return func(*args, **kwargs)

    def _take(self, elements: int) -> None:
        self._left -= elements
        if elements < 0 or self._left < 0:
            self.exceeded = True
            raise ValueError("the model is larger than the weights that are there for it")
