import pyro
import pyro.distributions as dist
import pytest
import torch
from hypothesis import given, strategies as st
from pyro import poutine

from minvae_pyro.utterances import MOUTH_SIZE, Utterances, concatenate


def batch(size: int, frames: int, *, complex_values: bool = False) -> Utterances:
    spectrum = torch.randn(size, frames, 5, dtype=torch.complex64)
    return Utterances.from_spectrum(
        spectrum if complex_values else spectrum.abs().square(), torch.rand(size, frames, MOUTH_SIZE, MOUTH_SIZE)
    )


def test_one_recording_becomes_a_batch_of_one() -> None:
    power = torch.rand(4, 5)
    mouth = torch.rand(4, MOUTH_SIZE, MOUTH_SIZE)
    seen = torch.tensor([True, False, True, True])
    one = Utterances.from_spectrum(power, mouth, seen)
    assert len(one) == 1
    assert one.frames == 4
    assert torch.equal(one.spectrum[0], power)
    assert torch.equal(one.noisy_power[0], power)
    assert torch.equal(one.mouth[0], mouth)
    assert torch.equal(one.mouth_seen[0], seen)
    assert one.mask.all()
    assert one.index.tolist() == [0]


def test_complex_spectra_are_heard_as_power() -> None:
    spectrum = torch.tensor([[[3 + 4j]]])
    utterances = Utterances.from_spectrum(spectrum)
    assert utterances.noisy_power.item() == 25
    assert utterances.power.item() == 25
    assert utterances.spectrum is spectrum


def test_pictures_of_bytes_are_scaled() -> None:
    mouth = torch.tensor([0, 255], dtype=torch.uint8)[None, :, None, None].expand(1, 2, MOUTH_SIZE, MOUTH_SIZE)
    utterances = Utterances.from_spectrum(torch.rand(1, 2, 5, dtype=torch.float64), mouth)
    assert utterances.mouth.dtype == torch.float64
    assert utterances.mouth[0, :, 0, 0].tolist() == [0, 1]
    assert utterances.mouth_seen.all()


def test_no_video_costs_no_memory() -> None:
    absent = Utterances.from_spectrum(torch.rand(2, 3, 5))
    removed = batch(2, 3).without_mouth()
    for utterances in (absent, removed):
        assert utterances.mouth.shape == (2, 3, MOUTH_SIZE, MOUTH_SIZE)
        assert utterances.mouth.untyped_storage().nbytes() == 4
        assert not utterances.mouth.any()
        assert not utterances.mouth_seen.any()


def test_without_mouth_keeps_the_sound_and_the_original() -> None:
    original = batch(2, 3)
    removed = original.without_mouth()
    assert torch.equal(removed.spectrum, original.spectrum)
    assert original.mouth_seen.all()


@pytest.mark.parametrize("complex_values", [False, True])
def test_precision_and_device(complex_values: bool) -> None:
    original = batch(2, 3, complex_values=complex_values)
    double = original.to(torch.float64)
    assert double.spectrum.dtype == (torch.complex128 if complex_values else torch.float64)
    assert double.noisy_power.dtype == double.mouth.dtype == torch.float64
    assert double.mask.dtype == double.mouth_seen.dtype == torch.bool
    assert double.index.dtype == torch.int64
    moved = original.to("meta")
    assert {tensor.device.type for tensor in moved.tensors().values()} == {"meta"}


def test_replace_leaves_the_original() -> None:
    original = batch(1, 2)
    changed = original.replace(noisy_power=torch.zeros(1, 2, 5))
    assert changed.noisy_power.sum() == 0
    assert original.noisy_power.sum() > 0
    assert changed.spectrum is original.spectrum


@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4), complex_values=st.booleans())
def test_joined_batches_can_be_told_apart(lengths: list[int], complex_values: bool) -> None:
    parts = [batch(1, frames, complex_values=complex_values) for frames in lengths]
    parts = [part.replace(index=torch.tensor([10 + n])) for n, part in enumerate(parts)]
    joined = concatenate(parts)
    assert len(joined) == len(lengths)
    assert joined.frames == max(lengths)
    assert joined.index.tolist() == [10 + n for n in range(len(lengths))]
    assert joined.mask.sum(1).tolist() == lengths
    for row, (part, frames) in enumerate(zip(parts, lengths, strict=True)):
        for name in ("spectrum", "noisy_power", "mouth", "mouth_seen", "mask"):
            whole = getattr(joined, name)
            assert torch.equal(whole[row, :frames], getattr(part, name)[0])
            assert not whole[row, frames:].any()
        assert part.frames == frames


def test_joining_keeps_what_is_already_padded_and_without_video() -> None:
    first, second = batch(2, 4), batch(1, 2).without_mouth()
    first.mask[1, 3] = False
    joined = concatenate([second, first])
    assert joined.mask.tolist() == [[True, True, False, False], [True] * 4, [True, True, True, False]]
    assert joined.mouth_seen.sum(1).tolist() == [0, 4, 4]


def test_joined_batches_keep_what_says_something() -> None:
    whole, holed = batch(1, 2), batch(1, 4)
    assert concatenate([whole, batch(1, 3)]).observed is None
    observed = torch.rand(1, 4, 5, generator=torch.Generator().manual_seed(0)) > 0.5
    holed.mask[0, 3] = False
    joined = concatenate([whole, holed.replace(observed=observed)])
    expected = torch.zeros(2, 4, 5, dtype=torch.bool)
    expected[0, :2] = True
    expected[1, :3] = observed[0, :3]
    assert joined.evident.equal(expected)
    assert whole.evident.shape == (1, 2, 1)


def test_plates_are_independent_over_utterances_and_frames_and_masked() -> None:
    utterances = batch(2, 3)
    utterances.mask[1, 2] = False

    def model() -> None:
        with utterances.plates().every_frame():
            pyro.sample("z", dist.Normal(torch.zeros(4), 1.0).to_event(1))

    trace = poutine.trace(model).get_trace()
    trace.compute_log_prob()
    site = trace.nodes["z"]
    assert site["value"].shape == (2, 3, 4)
    assert [(plate.name, plate.dim, plate.size) for plate in site["cond_indep_stack"]] == [
        ("utterances", -2, 2),
        ("frames", -1, 3),
    ]
    assert (site["log_prob"] != 0).tolist() == utterances.mask.tolist()
