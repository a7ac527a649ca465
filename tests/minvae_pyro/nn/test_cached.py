"""Each network looks at the mouth once in a step, and what is learnt stays the same."""

from typing import Any

import pyro
import pytest
import torch

from minvae_pyro.nn.cached import LookedAt
from minvae_pyro.nn.visual import MouthConvolution
from minvae_pyro.probability.parameters import local_parameters
from minvae_pyro.registry.build import build
from minvae_pyro.training.plan import TrainingPlan
from minvae_pyro.utterances import Utterances

GATED = {"class_path": "SharedGuide", "init_args": {"responsibility": "GatedResponsibility"}}
PAIRS = {
    "av-vae": ("AudioVisualVAE", "AudioVisualGuide"),
    "av-cvae": ("ConditionalVAE", "AudioVisualGuide"),
    "min-vae": ("ConditionalMinVAE", GATED),
    "min-vae-v2": ("MinVAEv2", GATED),
    "vae-mm": ("MixtureOfVAEs", "TwoVAEsGuide"),
    "sw-vae": ("SwitchingVAE", "TwoVAEsGuide"),
    "av-dkf": (
        {"class_path": "DeepKalmanFilter", "init_args": {"visual_features": "MouthFeatures"}},
        "RecurrentGuide",
    ),
}


def pair(name: str) -> tuple[Any, Any]:
    prior, guide = PAIRS[name]
    return build({"prior": prior, "guide": guide})


@pytest.fixture
def batch() -> Utterances:
    seen = torch.tensor([[True, True, True, False], [False, True, True, True]])
    return Utterances.from_spectrum(torch.rand(2, 4, 513) + 0.1, torch.rand(2, 4, 67, 67), seen).to(torch.float64)


@pytest.mark.parametrize("name", PAIRS)
def test_a_step_looks_once_and_has_the_gradient_of_many_looks(name: str, batch: Utterances) -> None:
    torch.manual_seed(3)
    plan = TrainingPlan(*pair(name)).double()
    for part in plan.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    looks = []
    for part in plan.modules():
        if isinstance(part, MouthConvolution):
            part.register_forward_hook(lambda *_: looks.append(1))
    learnt = [p for p in plan.parameters() if p.requires_grad]
    found = []
    for once in (True, False):
        torch.manual_seed(4)
        looks.clear()
        if once:
            loss = plan(batch)
            assert len(looks) == 1
        else:
            with pyro.validation_enabled(False), local_parameters(plan.prior, plan.guide):
                loss = plan.bound(batch) / batch.mask.sum()
            assert len(looks) > 1
        found.append([loss, *torch.autograd.grad(loss, learnt, allow_unused=True)])
    for one, other in zip(*found, strict=True):
        if other is None:
            assert one is None
        else:
            torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", PAIRS)
def test_networks_in_sixteen_bits_leave_the_bound_in_thirty_two(name: str, batch: Utterances) -> None:
    torch.manual_seed(3)
    plan, batch = TrainingPlan(*pair(name)).eval(), batch.to(torch.float32)
    learnt = [p for p in plan.parameters() if p.requires_grad]
    found = []
    for mixed in (False, True):
        torch.manual_seed(4)
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            loss = plan(batch)
        assert loss.dtype == torch.float32
        slopes = torch.autograd.grad(loss, learnt, allow_unused=True)
        assert all(slope.isfinite().all() for slope in slopes if slope is not None)
        found.append(loss)
    torch.testing.assert_close(*found, rtol=0.01, atol=0.0)


def test_the_first_who_asks_may_want_no_gradient(batch: Utterances) -> None:
    network = MouthConvolution().double()
    looked_at = LookedAt.of(batch)
    with torch.no_grad():
        first = looked_at.seen_by(network)[0]
    mean, scale = looked_at.seen_by(network)
    assert not first.requires_grad
    assert torch.equal(first, mean)
    (mean.sum() + scale.sum()).backward()
    assert network.head.mean.weight.grad is not None
    with torch.no_grad():
        assert not looked_at.seen_by(network)[0].requires_grad
    assert looked_at.replace(mouth=1 - batch.mouth).seen_by(network)[0].ne(mean).any()
