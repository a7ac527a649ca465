"""Loading the next batch while the present one is used."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader

from minvae_pyro.utterances import Utterances

_AHEAD = 2  # batches that may wait

_END = object()


class LoadingAhead(DataLoader[Utterances]):
    """A loader that works in a thread of its own, a few batches ahead.

    Reading files and torch's operations let other threads run, so a step and the loading of the next batch go side by
    side, without a process that has to start and to send its batches. With ``num_workers`` it is the processes that
    work ahead. Batches are the same either way.
    """

    def __iter__(self) -> Any:
        """Batches in their order; what goes wrong in loading is raised where the batch would have come."""
        batches = super().__iter__()
        return batches if self.num_workers else _ahead(batches)


def _ahead(batches: Any) -> Iterator[Utterances]:
    waiting: queue.Queue[Any] = queue.Queue(_AHEAD)
    given_up = threading.Event()

    def load() -> None:
        try:
            for batch in batches:
                waiting.put((batch, None))
                if given_up.is_set():
                    return
            waiting.put((_END, None))
        except BaseException as error:
            waiting.put((_END, error))

    thread = threading.Thread(target=load, name="loading", daemon=True)
    thread.start()
    try:
        while True:
            batch, error = waiting.get()
            if error is not None:
                raise error
            if batch is _END:
                return
            yield batch
    finally:
        # whoever stops early leaves no thread behind
        given_up.set()
        while thread.is_alive():
            try:
                waiting.get(timeout=0.01)
            except queue.Empty:
                continue
