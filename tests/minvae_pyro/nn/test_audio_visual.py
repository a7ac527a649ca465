"""Networks of sound and sight against their formulas."""

import pytest
import torch
from torch import Tensor, nn

from minvae_pyro.nn.audio import SpectrumDecoder, SpectrumEncoder
from minvae_pyro.nn.audio_visual import ConcatenatingDecoder, ConcatenatingEncoder, FeaturePerceptron


def affine(x: Tensor, layer: nn.Linear) -> Tensor:
    return x @ layer.weight.T + layer.bias


def mixed(first: Tensor, second: Tensor, layers: nn.Module) -> Tensor:
    both = torch.cat([affine(first, layers.first).tanh(), affine(second, layers.second).tanh()], -1)
    return affine(both, layers.mix).tanh()


def scattered(network: nn.Module) -> nn.Module:
    for parameter in network.parameters():
        parameter.data = parameter.data + 0.3 * torch.randn_like(parameter)
    return network.double()


def test_the_encoder_by_hand() -> None:
    encoder = scattered(ConcatenatingEncoder(6, 5, 4, 3, transform="plain_power"))
    power, features = torch.rand(2, 7, 6).double(), torch.randn(2, 7, 5).double()
    hidden = mixed(power, features, encoder.layers)
    mean, scale = encoder(power, features)
    torch.testing.assert_close(mean, affine(hidden, encoder.head.mean))
    torch.testing.assert_close(scale.square().log(), affine(hidden, encoder.head.log_variance))
    logarithmic = ConcatenatingEncoder(6, 5, 4, 3).double()
    logarithmic.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(logarithmic(power, features), encoder((power + 1e-10).log(), features))


def test_the_decoder_by_hand() -> None:
    decoder = scattered(ConcatenatingDecoder(3, 5, 4, 6))
    z, features = torch.randn(2, 7, 3).double(), torch.randn(2, 7, 5).double()
    hidden = mixed(z, features, decoder.layers)
    torch.testing.assert_close(decoder(z, features), affine(hidden, decoder.log_variance).exp())


def test_the_prior_network_by_hand() -> None:
    network = scattered(FeaturePerceptron(5, 4, 3))
    features = torch.randn(2, 7, 5).double()
    hidden = affine(features, network.hidden).tanh()
    mean, scale = network(features)
    torch.testing.assert_close(mean, affine(hidden, network.head.mean))
    torch.testing.assert_close(scale.square().log(), affine(hidden, network.head.log_variance))


@pytest.mark.parametrize("leading", [(), (4,), (2, 1, 1), (4, 2, 1, 1)])
@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (2, 3)])
def test_one_sight_serves_every_draw_of_z(shape: tuple[int, int], leading: tuple[int, ...]) -> None:
    decoder = scattered(ConcatenatingDecoder(3, 5, 4, 6))
    whole = torch.broadcast_shapes((*leading, *shape) if len(leading) < 2 else leading, shape)
    z = torch.randn(*((*leading, *shape) if len(leading) < 2 else leading), 3).double()
    features = torch.randn(*shape, 5).double()
    variance = decoder(z, features)
    assert variance.shape == (*whole, 6)
    torch.testing.assert_close(variance, decoder(z.expand(*whole, 3), features.expand(*whole, 5)))


def test_sizes_of_the_published_networks() -> None:
    encoder = ConcatenatingEncoder(feature_dim=512, latent_dim=16, transform="plain_power")
    decoder = ConcatenatingDecoder(latent_dim=16, feature_dim=512)
    shapes = [tuple(p.shape) for n in (encoder, decoder, FeaturePerceptron(512, 128, 16)) for p in n.parameters()]
    assert shapes == [
        *[(128, 513), (128,), (128, 512), (128,), (128, 256), (128,), (16, 128), (16,), (16, 128), (16,)],
        *[(128, 16), (128,), (128, 512), (128,), (128, 256), (128,), (513, 128), (513,)],
        *[(128, 512), (128,), (16, 128), (16,), (16, 128), (16,)],
    ]
    mean, scale = encoder(torch.rand(1, 2, 513), torch.rand(1, 2, 512))
    assert decoder(mean, torch.rand(1, 2, 512)).shape == (1, 2, 513)
    assert (scale > 0).all()


def test_they_start_as_the_networks_of_sound_alone_with_a_layer_more() -> None:
    power, z = torch.rand(2, 3, 6).double(), torch.randn(2, 3, 3).double()
    sound, plain = SpectrumEncoder(6, 4, 3).double(), SpectrumDecoder(3, 4, 6).double()
    encoder, decoder = ConcatenatingEncoder(6, 5, 4, 3).double(), ConcatenatingDecoder(3, 5, 4, 6).double()
    encoder.layers.first, encoder.head = sound.hidden, sound.head
    decoder.layers.first, decoder.log_variance = plain.hidden, plain.log_variance
    for network in (encoder, decoder):
        nn.init.zeros_(network.layers.second.weight)
        nn.init.zeros_(network.layers.second.bias)
    features = torch.randn(2, 3, 5).double()
    hidden = affine(sound.transform(power), sound.hidden).tanh().tanh()
    torch.testing.assert_close(encoder(power, features)[0], affine(hidden, sound.head.mean))
    hidden = affine(z, plain.hidden).tanh().tanh()
    torch.testing.assert_close(decoder(z, features), affine(hidden, plain.log_variance).exp())
