"""The loader that works ahead: the same batches, in their order, errors where they belong, nothing left behind."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from minvae_pyro.corpora.loader import LoadingAhead


class Numbers(Dataset[Any]):
    """0, 1, 2, ...; the one that is broken cannot be loaded."""

    def __init__(self, count: int, broken: int = -1) -> None:
        self.count, self.broken = count, broken
        self.loaded: list[int] = []

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, row: int) -> Any:
        if row == self.broken:
            raise OSError(f"number {row} is damaged")
        self.loaded.append(row)
        return row


def loader(data: Dataset[Any], kind: Any = LoadingAhead) -> Any:
    return kind(data, batch_size=None, collate_fn=lambda item: item, generator=torch.Generator())


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


@pytest.mark.parametrize("count", [0, 1, 7])
def test_it_gives_what_a_loader_gives_again_and_again(count: int) -> None:
    ahead = loader(Numbers(count))
    for _ in range(2):
        assert list(ahead) == list(loader(Numbers(count), DataLoader)) == list(range(count))
    assert len(ahead) == count


def test_it_is_a_few_ahead_and_no_more() -> None:
    data = Numbers(50)
    batches = iter(loader(data))
    assert next(batches) == 0
    until = time.monotonic() + 5
    while len(data.loaded) < 4 and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.05)
    # one is in use, two wait, and one waits for a place
    assert data.loaded == [0, 1, 2, 3]
    batches.close()


def test_an_error_comes_after_the_batches_before_it() -> None:
    batches = iter(loader(Numbers(9, broken=3)))
    assert [next(batches) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="number 3 is damaged"):
        next(batches)


def test_whoever_stops_early_stops_the_loading() -> None:
    data = Numbers(1000)
    for number in loader(data):
        if number == 5:
            break
    assert len(data.loaded) < 20
