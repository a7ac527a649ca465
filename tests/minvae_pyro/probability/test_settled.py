import threading
import time
from contextlib import ExitStack, nullcontext
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch

from minvae_pyro.probability.handlers import condition_alpha
from minvae_pyro.probability.parameters import local_parameters
from minvae_pyro.probability.settled import alone, differentiable, settled, usual_modes

CALLERS = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "nothing": nullcontext,
}


@pytest.mark.parametrize("caller", CALLERS)
def test_the_modes_of_a_caller_have_no_effect_and_stay(caller: str) -> None:
    torch.set_default_dtype(torch.float64)
    with CALLERS[caller]():
        before = torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")
        with usual_modes():
            made = torch.zeros(2, requires_grad=True)
            product = made[None] @ torch.ones(2, 1)
            assert product.requires_grad
            assert not made.is_inference()
            assert made.dtype == product.dtype == torch.float32
        assert before == (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu"))
    assert torch.get_default_dtype() == torch.float64


def test_the_modes_come_back_after_an_error() -> None:
    with torch.no_grad(), pytest.raises(RuntimeError, match="inside"), settled(torch.float64):
        raise RuntimeError("inside")
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()


def test_tensors_of_inference_mode_become_differentiable() -> None:
    with torch.inference_mode():
        made = torch.ones(2)
    weight = torch.ones(2, requires_grad=True)
    (weight * differentiable(made)).sum().backward()
    assert torch.equal(weight.grad, made)
    assert differentiable(weight) is weight


def _others_while(inside: Any) -> list[str]:
    """What happens first: the end of the block in this thread, or what another one does alone."""
    order: list[str] = []

    def other() -> None:
        with alone():
            order.append("other")

    thread = threading.Thread(target=other)
    with inside:
        thread.start()
        time.sleep(0.05)
        order.append("block")
    thread.join(10)
    return order


def test_what_changes_the_process_is_done_alone() -> None:
    module = pyro.nn.PyroModule[torch.nn.Linear](1, 1)
    blocks = {"alone": alone(), "settled": settled(), "handler": condition_alpha(1), "local": local_parameters(module)}
    assert {name: _others_while(block) for name, block in blocks.items()} == {key: ["block", "other"] for key in blocks}
    # the counter-example: without a lock the other thread comes first
    assert _others_while(nullcontext()) == ["other", "block"]


def test_a_thread_may_come_in_again() -> None:
    with ExitStack() as stack:
        for block in (alone(), settled(), condition_alpha(1), condition_alpha(0), settled()):
            stack.enter_context(block)
        assert pyro.sample("alpha", dist.Bernoulli(torch.full((3,), 0.5))).tolist() == [0.0] * 3


def test_settings_of_pyro_are_as_before_after_threads() -> None:
    def work() -> None:
        module = pyro.nn.PyroModule[torch.nn.Linear](1, 1)
        for _ in range(20):
            with local_parameters(module):
                assert pyro.settings.get("module_local_params")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pyro.settings.get("module_local_params") is False
