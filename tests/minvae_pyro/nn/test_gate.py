import itertools
import math

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

from minvae_pyro.nn.gate import AgreementGate, _band_pooling

FREQUENCIES = 40


def gate() -> AgreementGate:
    return AgreementGate(bands=8, features=6, frequencies=FREQUENCIES).double().eval()


def inputs(size: int = 2, frames: int = 12) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor], Tensor]:
    """What is heard, what the mouth predicts, what it suggests of z, and the mask; levels far above the floor."""
    heard, predicted = (torch.rand(size, frames, FREQUENCIES, dtype=torch.float64) + 0.1 for _ in range(2))
    mean = torch.randn(size, frames, 3, dtype=torch.float64)
    return heard, predicted, (mean, 0.2 + torch.rand_like(mean)), torch.ones(size, frames, dtype=torch.bool)


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1), (2, 2), (3, 30)])
def test_one_number_per_frame(shape: tuple[int, int]) -> None:
    for network in (gate(), gate().train()):
        logit = network(*inputs(*shape))
        assert logit.shape == shape
        assert logit.isfinite().all()


def test_the_gate_of_real_spectra() -> None:
    logit = AgreementGate()(
        torch.rand(2, 5, 513),
        torch.rand(2, 5, 513),
        (torch.zeros(2, 5, 32), torch.ones(2, 5, 32)),
        torch.ones(2, 5, dtype=torch.bool),
    )
    assert logit.shape == (2, 5)
    assert "pooling" not in AgreementGate().state_dict()


@settings(max_examples=20)
@given(heard_level=st.floats(1e-3, 1e4), predicted_level=st.floats(1e-3, 1e4))
def test_levels_drop_out(heard_level: float, predicted_level: float) -> None:
    torch.manual_seed(0)
    network = gate()
    heard, predicted, seen, mask = inputs()
    expected = network(heard, predicted, seen, mask)
    found = network(heard_level * heard, predicted_level * predicted, seen, mask)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_microphones_and_talkers_drop_out() -> None:
    network = gate()
    heard, predicted, seen, mask = inputs()
    # a filter that is flat within each band and steady over the recording
    filtered = torch.rand(8, dtype=torch.float64)[: network.pooling.shape[1]] + 0.5
    response = torch.ones(FREQUENCIES, dtype=torch.float64)
    for band, level in enumerate(filtered):
        response[network.pooling[:, band] > 0] = level
    torch.testing.assert_close(
        network(heard * response, predicted, seen, mask), network(heard, predicted, seen, mask), rtol=1e-4, atol=1e-4
    )


def test_what_is_heard_matters() -> None:
    network = gate()
    heard, predicted, seen, mask = inputs()
    agreeing = network(predicted, predicted, seen, mask)
    assert (agreeing - network(heard, predicted, seen, mask)).abs().min() > 1e-6
    assert (network(heard.roll(1, 1), predicted, seen, mask) - network(heard, predicted, seen, mask)).abs().max() > 1e-4


def test_padding_and_unseen_frames_do_not_count() -> None:
    network = gate()
    heard, predicted, seen, mask = inputs()
    mask[0, 3:5] = False
    mask[1, 8:] = False
    hidden = ~mask[..., None]
    other = network(torch.where(hidden, 1e3, heard), torch.where(hidden, 1e-3, predicted), seen, mask)
    torch.testing.assert_close(other[mask], network(heard, predicted, seen, mask)[mask])


def test_without_any_frame_that_counts_it_is_finite() -> None:
    heard, predicted, seen, mask = inputs()
    assert gate()(heard, predicted, seen, torch.zeros_like(mask)).isfinite().all()
    assert gate()(torch.zeros_like(heard), torch.zeros_like(predicted), seen, mask).isfinite().all()


def test_recordings_of_a_batch_do_not_see_each_other() -> None:
    network = gate()
    heard, predicted, (mean, scale), mask = inputs(3)
    alone = network(heard[1:2], predicted[1:2], (mean[1:2], scale[1:2]), mask[1:2])
    torch.testing.assert_close(network(heard, predicted, (mean, scale), mask)[1:2], alone)


def test_correlation_in_the_whole_recording_reaches_every_frame() -> None:
    network = gate()
    heard, predicted, seen, mask = inputs(1, 60)
    heard.requires_grad_()
    (gradient,) = torch.autograd.grad(network(heard, predicted, seen, mask)[0, 0], heard)
    assert (gradient[0, 55:].abs().sum(-1) > 0).all()


@pytest.mark.parametrize(("bands", "frequencies"), [(32, 513), (8, 40), (4, 5), (64, 20)])
def test_bands_partition_all_bins_but_the_lowest_two(bands: int, frequencies: int) -> None:
    pooling = _band_pooling(bands, frequencies)
    assert pooling.shape[1] <= bands
    torch.testing.assert_close(pooling.sum(0), torch.ones(pooling.shape[1]))
    owners = (pooling > 0).sum(1)
    assert owners.tolist() == [0, 0] + [1] * (frequencies - 2)
    widths = (pooling > 0).sum(0)
    assert widths[-1] == widths.max()
    edges = [int((pooling[:, band] > 0).nonzero()[0]) for band in range(pooling.shape[1])]
    if (bands, frequencies) == (32, 513):
        # above the lowest octaves, where bands are single bins, edges grow by a constant factor
        factors = [math.log(b / a) for a, b in itertools.pairwise(edges[16:])]
        assert max(factors) < 1.25 * min(factors)
