"""What torch and Pyro keep for a whole process, as this package needs it: whatever its caller has set, one at a time.

Pyro's stack of handlers, its settings and torch's default generator and precision belong to a process, not to a
thread. Who works with them holds one lock, so that threads take turns and the same seed gives the same numbers.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor

_DEVICES = ("cpu", "cuda")


class _Turn:
    """A lock of this process, which one thread may take several times; a forked process has a lock of its own."""

    def __init__(self) -> None:
        self._renew()
        os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self.lock = threading.RLock()


_TURN = _Turn()


@contextmanager
def alone() -> Iterator[None]:
    """Keep other threads from the state of the process; the same thread may come in again."""
    with _TURN.lock:
        yield


@contextmanager
def settled(dtype: torch.dtype = torch.float32) -> Iterator[None]:
    """Work :func:`alone` and in the :func:`usual_modes`; ``dtype`` is that of new floating-point tensors."""
    with alone(), usual_modes(dtype):
        yield


@contextmanager
def usual_modes(dtype: torch.dtype = torch.float32) -> Iterator[None]:
    """Work with gradients, without autocasting, and with new tensors of one precision.

    ``torch.no_grad``, ``torch.inference_mode``, ``torch.autocast`` and ``torch.set_default_dtype`` of a caller have no
    effect within, and are as they were afterwards.

    Args:
        dtype: of new floating-point tensors.
    """
    with ExitStack() as modes:
        modes.enter_context(torch.inference_mode(False))
        modes.enter_context(torch.enable_grad())
        for device in filter(torch.is_autocast_enabled, _DEVICES):
            modes.enter_context(torch.autocast(device, enabled=False))
        modes.callback(torch.set_default_dtype, torch.get_default_dtype())
        torch.set_default_dtype(dtype)
        yield


def differentiable(tensor: Tensor) -> Tensor:
    """The tensor, or a copy of one that was made in inference mode, which takes part in no gradient."""
    return tensor.clone() if tensor.is_inference() else tensor
