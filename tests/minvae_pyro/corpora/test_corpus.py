import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, strategies as st
from safetensors.torch import save_file

from minvae_pyro.audio.stft import STFT
from minvae_pyro.corpora.corpus import MemoryCorpus, PreparedCorpus, check_length
from minvae_pyro.corpora.loader import BatchDataset, CorpusData
from minvae_pyro.corpora.manifest import DIGITS, Entry, read_manifest, write_manifest
from minvae_pyro.corpora.sampler import Batch, FrameSpan
from minvae_pyro.errors import UserError
from minvae_pyro.training.noise import UniformNoise
from minvae_pyro.utterances import Utterances

SETTINGS = '{"format": 2, "stft": {"n_fft": 1024, "hop": %d, "sample_rate": 16000}}'


def prepared(folder, lengths, mouths, hop=533):
    """A prepared folder in which power and pictures say which row and frame they are."""
    (folder / "features").mkdir(parents=True)
    (folder / "settings.json").write_text(SETTINGS % hop)
    entries = []
    for row, (length, mouth) in enumerate(zip(lengths, mouths, strict=True)):
        power = (100.0 * row + torch.arange(length))[:, None].expand(length, 513).contiguous()
        tensors = {"power": power, "band": torch.arange(513) < 400}
        if mouth:
            tensors["mouth"] = torch.full((length, 67, 67), 51, dtype=torch.uint8)
            tensors["mouth_seen"] = torch.arange(length) > 0
        file = f"features/{row}.safetensors"
        save_file(tensors, folder / file)
        entries.append(Entry(str(row), file, length, (length - 1) * hop / 16000, mouth, float(mouth), "x", "y"))
    write_manifest(folder, entries)
    return str(folder)


@pytest.fixture
def corpus(tmp_path):
    first = prepared(tmp_path / "first", [7, 4], [True, False])
    return PreparedCorpus([first, prepared(tmp_path / "second", [5], [True])])


def test_folders_are_joined_and_rows_counted_through(corpus):
    assert corpus.lengths == [7, 4, 5]
    assert corpus.load(2).index.tolist() == [2]
    assert corpus.load(2).power[0, :, 0].tolist() == [0, 1, 2, 3, 4]


def test_a_slice_is_what_the_whole_has_there(corpus):
    whole, part = corpus.load(0), corpus.load(0, 2, 5)
    assert torch.equal(part.power, whole.power[:, 2:5])
    assert torch.equal(part.mouth, whole.mouth[:, 2:5])
    assert torch.equal(corpus.load_power(0, 2, 5), part.power[0])
    assert part.mouth.unique().tolist() == pytest.approx([0.2])


def test_what_was_cut_off_is_not_observed(corpus):
    whole, part = corpus.load(2), corpus.load(2, 1, 3)
    # the first frame of row 2 has the power 200, and none of the rest is empty
    expected = (whole.power > 512 * 10**-7.7) & (torch.arange(513) < 400)
    assert whole.observed.equal(expected)
    assert part.observed.equal(expected[:, 1:3])


def test_sound_alone_has_no_mouth(corpus):
    utterance = corpus.load(1)
    assert utterance.mouth.shape == (1, 4, 67, 67)
    assert not utterance.mouth_seen.any()
    assert not utterance.mouth.any()


def test_mouths_can_be_left_out(tmp_path):
    corpus = PreparedCorpus([prepared(tmp_path / "a", [3], [True])], mouth=False)
    assert not corpus.load(0).mouth_seen.any()


def test_a_batch_is_padded_and_masked(corpus):
    batch = BatchDataset(corpus)[Batch((FrameSpan(0, 0, 7), FrameSpan(1, 1, 4)), seed=0)]
    assert batch.power.shape == (2, 7, 513)
    assert batch.mask.sum(1).tolist() == [7, 3]
    assert batch.index.tolist() == [0, 1]
    assert batch.power[1, :, 0].tolist() == [101, 102, 103, 0, 0, 0, 0]
    assert batch.mouth_seen.sum(1).tolist() == [6, 0]
    assert torch.equal(batch.noisy_power, batch.power)


def test_a_batch_of_sound_alone_has_pictures_of_the_right_shape(corpus):
    batch = BatchDataset(corpus)[Batch((FrameSpan(1, 0, 4), FrameSpan(1, 0, 2)), seed=0)]
    assert batch.mouth.shape == (2, 4, 67, 67)
    assert not batch.mouth.any()


def noisy(utterances, generator, corpus):
    """A transform that shows which random numbers it got."""
    return utterances.replace(
        noisy_power=utterances.noisy_power + torch.rand(utterances.noisy_power.shape, generator=generator)
    )


def memory(count=6, frames=4):
    utterances = [Utterances.from_spectrum(torch.full((frames, 513), float(i))) for i in range(count)]
    return MemoryCorpus(utterances, STFT())


def test_batches_say_what_share_of_overlapping_cells_counts():
    assert all(batch.independent is None for batch in CorpusData(memory(), memory()).train_dataloader())
    data = CorpusData(memory(), memory(2), batch_size=4, independent=0.25)
    batches = [*data.train_dataloader(), *data.val_dataloader()]
    assert [len(batch) for batch in batches] == [4, 2, 2]
    for batch in batches:
        assert torch.equal(batch.independent, torch.full(batch.mask.shape, 0.25))
    with pytest.raises(UserError, match=r"above 0 and at most 1, not 1\.5"):
        CorpusData(memory(), memory(), independent=1.5)


def test_batches_do_not_depend_on_workers():
    def noisy_power(workers):
        data = CorpusData(memory(), memory(2), batch_size=2, noise=UniformNoise(), workers=workers, seed=3)
        return [batch.noisy_power for batch in data.train_dataloader()]

    alone, helped = noisy_power(0), noisy_power(1)
    assert len(alone) == 3
    assert all(torch.equal(a, b) for a, b in zip(alone, helped, strict=True))


def test_a_pass_leaves_the_global_generator_alone():
    data = CorpusData(memory(), memory(2))
    state = torch.get_rng_state()
    list(data.train_dataloader())
    assert torch.equal(torch.get_rng_state(), state)


def test_validation_noise_stays_and_training_noise_does_not():
    data = CorpusData(memory(), memory(2), batch_size=6, noise=noisy)
    (first,), (second,) = data.val_dataloader(), data.val_dataloader()
    assert torch.equal(first.noisy_power, second.noisy_power)
    loader = data.train_dataloader()
    (one,) = loader
    loader.sampler.set_epoch(1)
    (other,) = loader
    # every utterance is constant: what is left after subtracting it is the noise
    assert not torch.equal(one.noisy_power - one.power, other.noisy_power - other.power)


def test_only_training_is_augmented():
    def blind(utterances, generator, corpus):
        return utterances.without_mouth()

    seen = Utterances.from_spectrum(torch.ones(3, 513), torch.ones(3, 67, 67))
    data = CorpusData(MemoryCorpus([seen], STFT()), MemoryCorpus([seen], STFT()), augmentation=blind)
    assert not next(iter(data.train_dataloader())).mouth_seen.any()
    assert next(iter(data.val_dataloader())).mouth_seen.all()


def test_transforms_must_agree(tmp_path):
    first = prepared(tmp_path / "a", [3], [False])
    second = prepared(tmp_path / "b", [3], [False], hop=256)
    with pytest.raises(UserError, match="prepare them alike"):
        PreparedCorpus([first, second])
    with pytest.raises(UserError, match="prepare them alike"):
        CorpusData([first], [second])


def test_lost_features_are_an_error(tmp_path):
    folder = prepared(tmp_path / "a", [3], [False])
    (tmp_path / "a" / "features" / "0.safetensors").write_bytes(b"cut")
    with pytest.raises(UserError, match=r"0\.safetensors is missing or damaged"):
        PreparedCorpus([folder]).load(0)


def test_no_folder_and_no_frames_are_refused(tmp_path):
    with pytest.raises(UserError, match="at least one"):
        PreparedCorpus([])
    with pytest.raises(UserError, match="at least 1"):
        CorpusData(memory(), memory(), batch_size=0)


@pytest.mark.parametrize("off", [-1, 1])
def test_a_folder_whose_clips_are_a_frame_off_is_refused_at_the_door(tmp_path, off):
    """As with frames that were counted otherwise: manifest and features agree, the transform does not."""
    folder = prepared(tmp_path / "a", [8], [True])
    (entry,) = read_manifest(tmp_path / "a")
    seconds = entry.seconds - 0.01  # no whole number of hops
    write_manifest(tmp_path / "a", [replace(entry, seconds=seconds)])
    assert PreparedCorpus([folder]).lengths == [8]
    write_manifest(tmp_path / "a", [replace(entry, seconds=seconds + off * 533 / 16000)])
    with pytest.raises(UserError, match=f"has 8 frames, where the STFT of settings.json makes {8 + off}"):
        PreparedCorpus([folder])


@pytest.mark.parametrize("changed", [{"hop": 532}, {"hop": 534}, {"sample_rate": 16050}, {"n_fft": 1022}])
def test_a_transform_that_was_changed_by_hand_is_found_at_the_door(tmp_path, changed):
    """A hop that is off by one shows in long clips; the number of frequencies in all."""
    folder = prepared(tmp_path / "a", [200, 700], [False, False])
    settings = tmp_path / "a" / "settings.json"
    content = json.loads(settings.read_text())
    settings.write_text(json.dumps({**content, "stft": {**content["stft"], **changed}}))
    with pytest.raises(UserError, match="prepare"):
        PreparedCorpus([folder])


@given(st.integers(1, 10**7), st.integers(16, 768))
def test_the_frames_of_whatever_is_prepared_are_right(samples, hop):
    stft = STFT(hop=hop)
    entry = Entry("a", "features/a", stft.frames(samples), round(samples / 16000, DIGITS), False, 0.0, "x", "y")
    check_length(entry, stft, Path("folder"))
    for off in (-2, 2):
        with pytest.raises(UserError):
            check_length(replace(entry, frames=max(1, entry.frames) + off), stft, Path("folder"))
