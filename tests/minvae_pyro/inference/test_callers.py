"""The same result whoever calls: whatever modes torch is in, and from how many threads at once."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyro
import pytest
import torch
from torch import Tensor

from minvae_pyro.checkpoints.checkpoint import Checkpoint, load_checkpoint
from minvae_pyro.enhancement.streaming import SpeechStream
from minvae_pyro.inference import infer
from minvae_pyro.probability.elbo import AnalyticTraceEnum_ELBO
from minvae_pyro.utterances import Utterances

ENGINES: dict[str, dict[str, Any]] = {
    "fast": {"iterations": 3},
    "svi": {"iterations": 2},
    "vem": {"iterations": 2},
    "map": {"iterations": 2},
    "mcem": {"iterations": 1, "steps": 3, "burn_in": 1},
    "langevin": {"iterations": 2, "steps": 2, "burn_in": 1},
}


@pytest.fixture(scope="module")
def weights(handmade: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return handmade(tmp_path_factory.mktemp("weights") / "mixture.safetensors", mixture=True)


@pytest.fixture(scope="module")
def checkpoint(weights: Path) -> Checkpoint:
    return load_checkpoint(weights)


def noisy() -> Utterances:
    generator = torch.Generator().manual_seed(1)
    spectrum = torch.randn(2, 9, 513, dtype=torch.complex64, generator=generator)
    mouth = torch.rand(2, 9, 67, 67, generator=generator, dtype=torch.float32)
    return Utterances.from_spectrum(spectrum, mouth)


def gain(checkpoint: Checkpoint, engine: str, **options: Any) -> Tensor:
    return infer(checkpoint, noisy(), engine={"class_path": engine, "init_args": ENGINES[engine]}, **options).gain


@pytest.mark.parametrize("engine", ENGINES)
def test_modes_of_the_caller_change_nothing(engine: str, checkpoint: Checkpoint, weights: Path) -> None:
    expected = gain(checkpoint, engine)
    with torch.no_grad():
        assert torch.equal(gain(checkpoint, engine), expected)
    with torch.inference_mode():
        # the batch, and the checkpoint, are made in this mode
        assert torch.equal(gain(load_checkpoint(weights), engine), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(gain(checkpoint, engine), expected)
    torch.set_default_dtype(torch.float64)
    assert torch.equal(gain(load_checkpoint(weights), engine), expected)


@pytest.mark.parametrize("engine", ["fast", "svi", "mcem"])
def test_eight_threads_get_the_bits_of_one(engine: str, checkpoint: Checkpoint) -> None:
    expected = [gain(checkpoint, engine, seed=seed) for seed in (0, 1)]
    found: dict[int, Tensor] = {}

    def work(number: int) -> None:
        found[number] = gain(checkpoint, engine, seed=number % 2)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [torch.equal(found[number], expected[number % 2]) for number in range(8)] == [True] * 8
    assert not torch.equal(*expected)
    assert pyro.settings.get("module_local_params") is False
    assert not any(parameter.requires_grad is False for parameter in checkpoint.prior.parameters())


def test_loading_in_another_thread_changes_no_result(checkpoint: Checkpoint, weights: Path) -> None:
    expected, running = gain(checkpoint, "fast"), threading.Event()

    def load() -> None:
        # draws the weights that a new model starts from
        while not running.is_set():
            load_checkpoint(weights)

    thread = threading.Thread(target=load)
    thread.start()
    try:
        assert all(torch.equal(gain(checkpoint, "fast"), expected) for _ in range(3))
    finally:
        running.set()
        thread.join()


def test_a_stream_takes_blocks_of_inference_mode(checkpoint: Checkpoint) -> None:
    sound = torch.randn(16000, generator=torch.Generator().manual_seed(0))

    def streamed() -> Tensor:
        stream = SpeechStream(checkpoint)
        return torch.cat([*(stream.push(block.clone()) for block in sound.split(4000)), stream.finish()])

    expected = streamed()
    with torch.inference_mode():
        assert torch.equal(streamed(), expected)


def test_the_published_mixture_takes_several_utterances() -> None:
    # its table of responsibilities knows the utterances of its training alone
    published = load_checkpoint("min-vae-published")
    batch = noisy()
    power = batch.replace(spectrum=batch.power)
    bound = AnalyticTraceEnum_ELBO(max_plate_nesting=2)
    assert torch.isfinite(torch.tensor(bound.loss(published.prior, published.guide, power)))
    found = infer(published, batch, engine={"class_path": "fast", "init_args": ENGINES["fast"]})
    assert found.gain.shape == batch.power.shape
