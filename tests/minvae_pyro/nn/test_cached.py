"""Each network looks at the mouth once in a step, and what is learnt stays the same."""

from typing import Any

import pyro
import pytest
import torch
from torch import Tensor

from minvae_pyro.nn.cached import CachedUtterances
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
    cached = CachedUtterances.of(batch)
    with torch.no_grad():
        first = cached.encode_mouth(network)[0]
    mean, scale = cached.encode_mouth(network)
    assert not first.requires_grad
    assert torch.equal(first, mean)
    (mean.sum() + scale.sum()).backward()
    assert network.head.mean.weight.grad is not None
    with torch.no_grad():
        assert not cached.encode_mouth(network)[0].requires_grad
    assert cached.replace(mouth=1 - batch.mouth).encode_mouth(network)[0].ne(mean).any()


def two_of_three() -> Utterances:
    return Utterances.from_spectrum(torch.rand(2, 3, 5), torch.rand(2, 3, 67, 67))


def cached_without_gradients(utterances: Utterances) -> CachedUtterances:
    with torch.no_grad():
        return CachedUtterances.of(utterances)


class Counting(torch.nn.Module):
    """A network on the mouth that counts its runs."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.register_buffer("shift", torch.zeros(()))
        self.runs = 0

    def forward(self, mouth: Tensor, mouth_seen: Tensor) -> tuple[Tensor, Tensor]:
        self.runs += 1
        mean = (self.weight * mouth.mean((-1, -2)) + self.shift)[..., None]
        return mean, torch.ones_like(mean)


def test_a_network_looks_once() -> None:
    plain, networks = two_of_three(), [Counting().eval(), Counting().eval()]
    once = cached_without_gradients(plain)
    with torch.no_grad():
        for network in networks:
            expected = plain.encode_mouth(network)
            for _ in range(3):
                assert all(map(torch.equal, once.encode_mouth(network), expected))
            assert network.runs == 2
        for row, part in enumerate(once.one_by_one()):
            assert torch.equal(part.mouth, plain.mouth[[row]])
            assert torch.equal(part.encode_mouth(networks[0])[0], expected[0][[row]])
    assert networks[0].runs == 2


@pytest.mark.parametrize("change", ["weight", "buffer", "mouth", "other mouth", "copy", "other weight"])
def test_a_network_looks_again_when_anything_has_changed(change: str) -> None:
    network, once = Counting().eval(), cached_without_gradients(two_of_three())
    with torch.no_grad():
        once.encode_mouth(network)
        if change == "weight":
            network.weight.mul_(2)
        elif change == "buffer":
            network.shift.add_(1)
        elif change == "mouth":
            once.mouth.mul_(0.5)
        elif change == "other mouth":
            once.mouth = once.mouth / 2
        elif change == "copy":
            once = once.replace(mouth=once.mouth / 2)
        else:
            network.weight = torch.nn.Parameter(torch.full((), 2.0))
        assert torch.equal(once.encode_mouth(network)[0], network(once.mouth, once.mouth_seen)[0])
        assert network.runs == 3
        assert torch.equal(once.one_by_one()[1].encode_mouth(network)[0], once.encode_mouth(network)[0][[1]])


def test_what_was_seen_is_not_kept_for_gradients_nor_in_training() -> None:
    network, once = Counting().eval(), cached_without_gradients(two_of_three())
    with torch.no_grad():
        once.encode_mouth(network)
    slope = torch.autograd.grad(once.encode_mouth(network)[0].sum(), network.weight)[0]
    assert slope == pytest.approx(once.mouth.mean((-1, -2)).sum().item())
    with torch.no_grad():
        network.train()
        once.encode_mouth(network)
    assert network.runs == 3
