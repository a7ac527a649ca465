"""Processes that help: work beside this one, and a piece of work that kills its process costs nothing else."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import cv2
import torch

from minvae_pyro.errors import UserError

T = TypeVar("T")

_DIED = "the process that worked on it died, perhaps for want of memory"


@contextmanager
def one_thread() -> Iterator[None]:
    """Processes are the parallelism here, and sums must not depend on how many threads share them."""
    torch_threads, cv_threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(torch_threads)
        cv2.setNumThreads(cv_threads)


def usual_workers() -> int:
    """Processes beside this one: a core each, one left to this one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores - 1)


@dataclass
class Promise(Generic[T]):
    """A result that is asked for once."""

    ask: Callable[[], T]
    future: Future[T] | None = None

    def result(self) -> T:
        """Wait for it.

        Raises:
            UserError: the work kills whatever process does it.
        """
        return self.ask()

    def done(self) -> bool:
        """Whether there is nothing to wait for."""
        return self.future is not None and self.future.done()


class Helpers:
    """Processes that do what is submitted; with 0 of them, this one does it when it is asked for the result.

    Processes are started afresh, for the threads of torch, FFmpeg and OpenCV do not survive a fork. Ctrl-C reaches
    every process of a terminal; this one alone decides what it means.

    Args:
        workers: processes, started when there is something to do.
        most: pieces of work that there are, and processes that have something to do.
    """

    def __init__(self, workers: int, most: int | None = None) -> None:
        if workers < 0:
            raise UserError(f"there cannot be {workers} workers: give 0 or more.")
        self.workers = workers if most is None else min(workers, max(1, most))
        self._pool: Any = None
        self._alone: Any = None

    def submit(self, work: Callable[..., T], *arguments: Any) -> Promise[T]:
        """Have something done; function and arguments are pickled."""
        if not self.workers:
            return Promise(lambda: work(*arguments))
        try:
            future = self._started().submit(work, *arguments)
        except BrokenProcessPool:
            self._pool = None
            future = self._started().submit(work, *arguments)

        def ask() -> T:
            try:
                found: T = future.result()
                return found
            except BrokenProcessPool:
                return self._do_alone(work, arguments)

        return Promise(ask, future)

    def close(self) -> None:
        """End the processes, whatever they are at."""
        for pool in (self._pool, self._alone):
            if pool is not None:
                with suppress(BrokenProcessPool):
                    pool.shutdown(wait=True, kill_workers=True)
        self._pool = self._alone = None

    def _do_alone(self, work: Callable[..., T], arguments: tuple[Any, ...]) -> T:
        """Do again what was under way when a process died: whoever kills a process of its own has done it."""
        try:
            if self._alone is None:
                self._alone = _pool(1)
            found: T = self._alone.submit(work, *arguments).result()
            return found
        except BrokenProcessPool as error:
            self._alone = None
            raise UserError(f"{_DIED}.") from error

    def _started(self) -> Any:
        if self._pool is None:
            self._pool = _pool(self.workers)
        return self._pool


def _pool(workers: int) -> Any:
    # unlike the one of the standard library it needs no guard in the user's script
    from joblib.externals.loky import ProcessPoolExecutor  # type: ignore[import-untyped]

    return ProcessPoolExecutor(workers, initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN))
