import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor, nn

from minvae_pyro.models import AudioVAE, Latent
from minvae_pyro.nn.audio import (
    ContextDecoder,
    ContextEncoder,
    GaussianHead,
    SpectrumDecoder,
    SpectrumEncoder,
    log_power,
)
from minvae_pyro.nn.visual import MouthConvolution, MouthPerceptron, normalise_clip, shrink
from minvae_pyro.utterances import Utterances, concatenate

SHAPES = [(1, 1), (1, 2), (2, 1), (2, 2), (3, 20)]


def affine(x: Tensor, layer: nn.Linear) -> Tensor:
    return x @ layer.weight.T + layer.bias


def crops(size: int, frames: int) -> tuple[Tensor, Tensor]:
    return torch.rand(size, frames, 67, 67), torch.ones(size, frames, dtype=torch.bool)


def convolution() -> MouthConvolution:
    return MouthConvolution((3, 4, 5), features=6, latent_dim=2, size=16).eval()


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes(shape: tuple[int, int]) -> None:
    power = torch.rand(*shape, 513)
    mean, scale = SpectrumEncoder(latent_dim=4)(power)
    assert mean.shape == scale.shape == (*shape, 4)
    assert SpectrumDecoder(4)(mean).shape == (*shape, 513)
    assert SpectrumDecoder(4)(torch.zeros(2, *shape, 4)).shape == (2, *shape, 513)
    # batch normalisation cannot train on one frame
    training = [convolution().train()] if shape != (1, 1) else []
    for network in (MouthPerceptron((4, 3), 2), convolution(), *training):
        mean, scale = network(*crops(*shape))
        assert mean.shape == scale.shape == (*shape, 2)
        assert (scale > 0).all()


@pytest.mark.parametrize("reach", [1, 2])
def test_networks_that_see_the_frames_around_by_hand(reach: int) -> None:
    width = 2 * reach + 1
    z = torch.randn(2, 3, 7, 4)
    decoder, plain = ContextDecoder(4, 5, 6, reach), SpectrumDecoder(4, 5, 6)
    assert plain.load_state_dict(decoder.state_dict(), strict=False).missing_keys == []
    assert torch.equal(decoder(z), plain(z))  # as which it begins
    nn.init.normal_(decoder.context.weight)
    assert decoder.reach == reach
    assert SpectrumDecoder().reach == 0
    around = nn.functional.pad(z, (0, 0, reach, reach)).unfold(-2, width, 1)  # (..., N, L, K)
    mixed = z + torch.einsum("...lk,olk->...o", around, decoder.context.weight)
    hidden = affine(mixed, decoder.hidden).tanh()
    torch.testing.assert_close(decoder(z).log(), affine(hidden, decoder.log_variance))

    encoder = ContextEncoder(6, 5, 4, reach=reach, told=3)
    power = torch.rand(2, 7, 6)
    power[:, 4] = 0
    alone = SpectrumEncoder(6, 5, 4)
    assert alone.load_state_dict(encoder.state_dict(), strict=False).missing_keys == []
    assert torch.equal(encoder(power)[0], alone(power)[0])
    nn.init.normal_(encoder.context.weight)
    heard = affine((power + 1e-10).log(), encoder.hidden)
    told = affine(heard.tanh(), encoder.tell)
    told[:, 4] = 0
    around = nn.functional.pad(told, (0, 0, reach, reach)).unfold(-2, width, 1)
    features = (heard + torch.einsum("...lk,olk->...o", around, encoder.context.weight)).tanh()
    mean, scale = encoder(power)
    torch.testing.assert_close(mean, affine(features, encoder.head.mean))
    torch.testing.assert_close(scale.square().log(), affine(features, encoder.head.log_variance))


def test_padding_changes_no_frame() -> None:
    encoder, prior = ContextEncoder(latent_dim=4), AudioVAE(4, ContextDecoder(4))
    short, long = (Utterances.from_spectrum(torch.rand(frames, 513)) for frames in (3, 6))
    both = concatenate([short, long])
    for context in (encoder.context, prior.decoder.context):
        nn.init.normal_(context.weight)
    torch.testing.assert_close(encoder(both.power)[0][:1, :3], encoder(short.power)[0])
    z = torch.randn(2, 6, 4)
    padded, alone = prior.speech_variance(Latent(z), both), prior.speech_variance(Latent(z[:1, :3]), short)
    torch.testing.assert_close(padded[:1, :3], alone)


def test_published_networks_by_hand() -> None:
    encoder = SpectrumEncoder(6, 4, 3, transform="plain_power")
    power = torch.rand(2, 2, 6)
    hidden = affine(power, encoder.hidden).tanh()
    mean, scale = encoder(power)
    torch.testing.assert_close(mean, affine(hidden, encoder.head.mean))
    torch.testing.assert_close(scale.square().log(), affine(hidden, encoder.head.log_variance))
    logarithmic = SpectrumEncoder(6, 4, 3)
    logarithmic.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(logarithmic(power), encoder((power + 1e-10).log()))

    decoder = SpectrumDecoder(3, 4, 6)
    z = torch.randn(2, 2, 3)
    torch.testing.assert_close(decoder(z).log(), affine(affine(z, decoder.hidden).tanh(), decoder.log_variance))

    perceptron = MouthPerceptron((5, 4), 3)
    mouth, seen = crops(2, 2)
    first, _, second, _ = perceptron.layers
    hidden = affine(affine(mouth.reshape(2, 2, -1), first).tanh(), second).tanh()
    torch.testing.assert_close(perceptron(mouth, seen)[0], affine(hidden, perceptron.head.mean))


def test_sizes_of_the_published_networks() -> None:
    assert sum(p.numel() for p in SpectrumEncoder().parameters()) == 513 * 128 + 128 + 2 * (128 * 32 + 32)
    assert sum(p.numel() for p in SpectrumDecoder().parameters()) == 32 * 128 + 128 + 128 * 513 + 513
    perceptron = sum(p.numel() for p in MouthPerceptron().parameters())
    assert perceptron == 4489 * 512 + 512 + 512 * 128 + 128 + 2 * (128 * 32 + 32)
    assert sum(p.numel() for p in MouthConvolution().parameters()) < 250_000


def test_log_power_is_floored_at_minus_100_db() -> None:
    assert log_power(torch.zeros(())).item() == pytest.approx(torch.tensor(1e-10).log().item())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_extreme_activations_stay_finite(size: float, dtype: torch.dtype) -> None:
    head = GaussianHead(3, 2).to(dtype)
    decoder = SpectrumDecoder(2, 3, 5).to(dtype)
    for layer in (head.log_variance, decoder.log_variance):
        layer.bias.data.fill_(size)
    _, scale = head(torch.zeros(3, dtype=dtype))
    variance = decoder(torch.zeros(2, dtype=dtype))
    for value in (scale, variance, 1 / scale, 1 / variance, scale.square()):
        assert value.isfinite().all()
        assert (value > 0).all()
    (scale.sum() + variance.sum()).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for m in (head, decoder) for p in m.parameters())


def test_scales_fit_into_sixteen_bits() -> None:
    head = GaussianHead(3, 2)
    for size in (1e4, -1e4):
        head.log_variance.bias.data.fill_(size)
        scale = head(torch.zeros(3))[1].half()
        assert scale.isfinite().all()
        assert (scale > 0).all()


def test_loud_and_silent_power_stay_finite() -> None:
    encoder = SpectrumEncoder(5, 4, 3)
    for power in (0.0, 1e30):
        mean, scale = encoder(torch.full((1, 1, 5), power))
        assert mean.isfinite().all()
        assert (scale > 0).all()


def test_frame_wise_networks_take_frames_one_by_one() -> None:
    mouth, seen = crops(1, 4)
    perceptron = MouthPerceptron((4, 3), 2)
    torch.testing.assert_close(perceptron(mouth, seen)[0][:, 2:3], perceptron(mouth[:, 2:3], seen[:, 2:3])[0])


def test_the_convolution_sees_thirteen_frames() -> None:
    network = convolution()
    features = torch.randn(1, 6, 40, requires_grad=True)
    gradient = torch.autograd.grad(network.time(features)[0, :, 20].sum(), features)[0][0].abs().sum(0)
    reached = gradient.nonzero().flatten()
    assert reached.min() >= 14
    assert reached.max() <= 26
    assert len(reached) > 9  # rectifiers may close a way or two


def test_what_stands_in_unseen_frames_does_not_matter() -> None:
    network = convolution()
    mouth, seen = crops(2, 20)
    seen[0, 5:9] = False
    seen[1, 12:] = False
    other = torch.where(seen[..., None, None], mouth, torch.rand_like(mouth))
    torch.testing.assert_close(network(mouth, seen), network(other, seen))
    assert not torch.equal(network(mouth, seen)[0], network(mouth, torch.ones_like(seen))[0])


@pytest.mark.parametrize(("every", "frames"), [(1, 17), (2, 14)])
def test_padding_reaches_no_further_than_half_a_kernel(every: int, frames: int) -> None:
    network = convolution()
    network.every = every
    mouth, seen = crops(1, 20)
    padded = torch.cat([mouth, torch.rand(1, 10, 67, 67)], 1)
    mask = torch.cat([seen, torch.zeros(1, 10, dtype=torch.bool)], 1)
    found = network(padded, mask)[0][:, :frames]
    torch.testing.assert_close(found, network(mouth, seen)[0][:, :frames], rtol=1e-4, atol=1e-5)


def test_utterances_of_a_batch_do_not_see_each_other() -> None:
    network = convolution()
    mouth, seen = crops(3, 10)
    torch.testing.assert_close(network(mouth, seen)[0][1:2], network(mouth[1:2], seen[1:2])[0], rtol=1e-4, atol=1e-5)


def test_no_mouth_at_all_is_finite() -> None:
    mouth, seen = crops(2, 5)
    network = convolution().train()
    mean, scale = network(torch.zeros_like(mouth), torch.zeros_like(seen))
    (mean.sum() + scale.sum()).backward()
    assert mean.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())


def test_skin_light_and_camera_drop_out() -> None:
    network = convolution()
    mouth, seen = crops(1, 12)
    skin = torch.rand(1, 1, 67, 67)
    expected = network(mouth, seen)
    torch.testing.assert_close(network(mouth + skin, seen), expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(network(0.4 * mouth + 0.3, seen), expected, rtol=0.05, atol=0.02)


@settings(max_examples=30)
@given(brightness=st.floats(-0.5, 0.5), contrast=st.floats(0.3, 3.0), seed=st.integers(0, 999))
def test_clips_are_normalised_whatever_brightness_and_contrast(brightness: float, contrast: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    pictures = torch.rand(2, 6, 5, 5, generator=generator, dtype=torch.float64)
    seen = torch.rand(2, 6, generator=generator) < 0.7
    seen[:, :2] = True
    found = normalise_clip(pictures, seen)
    torch.testing.assert_close(normalise_clip(pictures + brightness, seen), found)
    torch.testing.assert_close(normalise_clip(contrast * pictures, seen), found, rtol=0.02, atol=1e-12)
    assert (found[~seen] == 0).all()
    for b in range(2):
        shown = pictures[b, seen[b]]
        by_hand = shown - shown.mean(0)
        torch.testing.assert_close(found[b, seen[b]], by_hand / (by_hand.square().mean().sqrt() + 1e-3))


def test_still_and_absent_clips_become_zero() -> None:
    still = torch.rand(1, 1, 5, 5).expand(1, 8, 5, 5)
    assert normalise_clip(still, torch.ones(1, 8, dtype=torch.bool)).abs().max() < 1e-3
    assert (normalise_clip(torch.rand(1, 8, 5, 5), torch.zeros(1, 8, dtype=torch.bool)) == 0).all()


def test_shrinking_averages_areas() -> None:
    picture = torch.rand(1, 1, 64, 64)
    torch.testing.assert_close(shrink(picture, 32)[0, 0, 3, 5], picture[0, 0, 6:8, 10:12].mean())
    assert shrink(torch.rand(2, 3, 67, 67), 32).shape == (2, 3, 32, 32)
    torch.testing.assert_close(shrink(torch.full((1, 1, 67, 67), 0.3), 32), torch.full((1, 1, 32, 32), 0.3))


@pytest.mark.parametrize("frames", [1, 2, 7, 20])
def test_frames_that_are_passed_over_are_interpolated(frames: int) -> None:
    network = convolution()
    network.head = nn.Identity()
    mouth, seen = crops(2, frames)
    every = network(mouth[:, ::3], seen[:, ::3])
    network.every = 3
    found = network(mouth, seen)
    torch.testing.assert_close(found[:, ::3], every)
    for frame in range(frames):
        before, share = frame // 3, frame % 3 / 3
        after = min(before + 1, every.shape[1] - 1)
        expected = (1 - share) * every[:, before] + share * every[:, after]
        torch.testing.assert_close(found[:, frame], expected)


def test_a_network_looks_at_one_frame_of_at_least_one() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        MouthConvolution(every=0)
