"""The networks of latent dynamics against their equations and against loops."""

import pytest
import torch
from torch import Tensor, nn

from minvae_pyro.nn.recurrent import (
    DeepDecoder,
    Fusion,
    GatedTransition,
    RecurrentEncoder,
    StructuredEncoder,
    run_backward,
)

LATENT, SIGHT, FREQUENCIES = 3, 2, 5


@pytest.fixture(autouse=True)
def double() -> None:
    torch.set_default_dtype(torch.float64)


def affine(layer: nn.Module, inputs: Tensor) -> Tensor:
    return inputs @ layer.weight.T + layer.bias


def sigmoid(x: Tensor) -> Tensor:
    return 1 / (1 + (-x).exp())


@pytest.mark.parametrize("squash", [None, nn.Sigmoid()])
def test_gated_transition_is_what_its_docstring_says(squash: nn.Module | None) -> None:
    network = GatedTransition(LATENT, 4, squash)
    z = 3 * torch.randn(2, 1, 6, LATENT)
    proposal = affine(network.proposal[2], affine(network.proposal[0], z).clamp_min(0))
    if squash is not None:
        proposal = sigmoid(proposal)
    gate = sigmoid(affine(network.gate[2], affine(network.gate[0], z).clamp_min(0)))
    variance = (1 + affine(network.variance, proposal.clamp_min(0)).exp()).log()
    mean, scale = network(z)
    torch.testing.assert_close(mean, (1 - gate) * affine(network.mean, z) + gate * proposal)
    torch.testing.assert_close(scale.square(), variance)


def test_a_transition_never_has_a_scale_of_zero() -> None:
    network = GatedTransition(LATENT, 4)
    network.variance.bias.data.fill_(-1e4)
    network.variance.weight.data.zero_()
    _, scale = network(torch.randn(2, LATENT))
    assert (scale > 0).all()


def test_fusion_lets_the_mouth_in_and_broadcasts() -> None:
    fusion = Fusion(LATENT, SIGHT, 7)
    inputs, features = torch.randn(4, 2, 6, LATENT), torch.randn(2, 6, SIGHT)
    seen = affine(fusion.visual, features).tanh().expand(4, 2, 6, LATENT)
    expected = affine(fusion.mix, torch.cat([inputs, seen], -1)).tanh()
    torch.testing.assert_close(fusion(inputs, features), expected)
    network = GatedTransition(LATENT, 4, fusion=fusion)
    mean, scale = network(inputs, features)
    assert mean.shape == scale.shape == (4, 2, 6, LATENT)
    gate = sigmoid(affine(network.gate[2], affine(network.gate[0], expected).clamp_min(0)))
    proposal = affine(network.proposal[2], affine(network.proposal[0], expected).clamp_min(0))
    torch.testing.assert_close(mean, (1 - gate) * affine(network.mean, expected) + gate * proposal)


def test_decoder_is_tanh_layers_and_a_log_variance() -> None:
    decoder = DeepDecoder(LATENT, [4, 6], FREQUENCIES)
    z = torch.randn(3, 2, LATENT)
    hidden = affine(decoder.layers[2], affine(decoder.layers[0], z).tanh()).tanh()
    torch.testing.assert_close(decoder(z), affine(decoder.log_variance, hidden).exp())
    sighted = DeepDecoder(LATENT, [4, 6], FREQUENCIES, Fusion(6, SIGHT))
    features = torch.randn(2, SIGHT)
    hidden = affine(sighted.layers[2], affine(sighted.layers[0], z).tanh()).tanh()
    torch.testing.assert_close(
        sighted(z, features), affine(sighted.log_variance, sighted.fusion(hidden, features)).exp()
    )


def test_a_backward_run_starts_at_the_end_of_each_utterance() -> None:
    network = nn.GRU(2, 3, batch_first=True)
    inputs = torch.randn(3, 5, 2)
    lengths = [5, 1, 3]
    mask = torch.arange(5) < torch.tensor(lengths)[:, None]
    found = run_backward(network, inputs, mask)
    for row, length in enumerate(lengths):
        state = None
        for frame in reversed(range(length)):
            expected, state = network(inputs[row, None, frame, None], state)
            torch.testing.assert_close(found[row, frame], expected[0, 0])


def test_padding_does_not_reach_the_posterior() -> None:
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    power = torch.rand(2, 6, FREQUENCIES)
    recurrent = RecurrentEncoder(FREQUENCIES, 4, 3, LATENT)
    whole, short = recurrent(power, mask), recurrent(power[1:, :4], mask[1:, :4])
    for one, other in zip(whole, short, strict=True):
        torch.testing.assert_close(one[1, :4], other[0])
    structured = StructuredEncoder(FREQUENCIES, 4, 3, 2, 2, LATENT)
    torch.testing.assert_close(structured(power, mask)[1, :4], structured(power[1:, :4], mask[1:, :4])[0])


def test_every_frame_of_the_sound_reaches_every_posterior_of_the_recurrent_encoder() -> None:
    recurrent = RecurrentEncoder(FREQUENCIES, 4, 3, LATENT)
    power = torch.rand(1, 4, FREQUENCIES, requires_grad=True)
    for frame in range(4):
        mean, scale = recurrent(power, torch.ones(1, 4, dtype=torch.bool))
        for part in (mean, scale):
            (reached,) = torch.autograd.grad(part[0, frame].sum(), power, retain_graph=True)
            assert (reached.abs().sum(-1) > 0).all()


def test_the_structured_encoder_looks_ahead_only() -> None:
    structured = StructuredEncoder(FREQUENCIES, 4, 3, 2, 2, LATENT)
    power = torch.rand(1, 4, FREQUENCIES, requires_grad=True)
    ahead = structured(power, torch.ones(1, 4, dtype=torch.bool))
    (reached,) = torch.autograd.grad(ahead[0, 2].sum(), power)
    assert (reached.abs().sum(-1) > 0).tolist() == [[False, False, True, True]]


def test_a_step_of_the_structured_encoder_is_what_its_docstring_says() -> None:
    structured = StructuredEncoder(FREQUENCIES, 4, 6, 2, 5, LATENT)
    previous, ahead = torch.randn(7, 2, LATENT), torch.randn(2, 6)
    state = affine(structured.state[2], affine(structured.state[0], previous).tanh()).tanh()
    features = affine(structured.narrow[0], (state + ahead) / 2).tanh()
    mean, scale = structured.step(previous, ahead)
    torch.testing.assert_close(mean, affine(structured.head.mean, features))
    torch.testing.assert_close(scale, (affine(structured.head.log_variance, features) / 2).exp())
