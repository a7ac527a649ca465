import pytest
import torch

from minvae_pyro.audio.stft import STFT
from minvae_pyro.corpora.corpus import MemoryCorpus
from minvae_pyro.errors import UserError
from minvae_pyro.training.augmentation import MouthAugmentation, MouthCorruption
from minvae_pyro.utterances import MOUTH_SIZE, Utterances, concatenate

OFF = {"shift": 0.0, "zoom": 0.0, "flip": 0.0, "brightness": 0.0, "contrast": 0.0, "cover": 0.0, "interrupt": 0.0}
KINDS = ("blank", "freeze", "swap", "late")
CORPUS = MemoryCorpus([], STFT())


def apply(batch, seed=0, **changes):
    return MouthAugmentation(**{**OFF, **changes})(batch, torch.Generator().manual_seed(seed), CORPUS)


@pytest.fixture
def batch():
    """Utterance i shows, in frame n, a smooth picture that says i and n; the last has no video, one has gaps."""
    position = torch.linspace(0.2, 0.6, 67)
    picture = position[:, None] + 0.2 * position[None, :]

    def utterance(number, frames):
        stamp = 0.002 * (50 * number + torch.arange(frames))[:, None, None]
        return Utterances.from_spectrum(torch.ones(frames, 513), picture + stamp)

    whole = [utterance(0, 20), utterance(1, 20), utterance(2, 12)]
    seen = whole[1].mouth_seen.clone()
    seen[:, 5:8] = False
    whole[1] = whole[1].replace(mouth_seen=seen, mouth=whole[1].mouth * seen[..., None, None])
    return concatenate([*whole, Utterances.from_spectrum(torch.ones(20, 513))])


def test_switched_off_it_changes_nothing(batch):
    torch.testing.assert_close(apply(batch).mouth, batch.mouth, atol=1e-5, rtol=0)


def test_the_original_and_all_but_the_mouth_stay(batch):
    before = batch.mouth.clone()
    changed = MouthAugmentation()(batch, torch.Generator().manual_seed(0), CORPUS)
    assert torch.equal(batch.mouth, before)
    assert changed.mouth_seen is batch.mouth_seen
    assert changed.spectrum is batch.spectrum
    assert not torch.equal(changed.mouth, before)
    assert changed.mouth.min() >= 0
    assert changed.mouth.max() <= 1


def test_seeds_decide_and_the_global_generator_is_left_alone(batch):
    state = torch.get_rng_state()
    augmentation = MouthAugmentation()
    one, same, other = (augmentation(batch, torch.Generator().manual_seed(s), CORPUS).mouth for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_unseen_frames_stay_black(batch):
    for seed in range(10):
        changed = MouthAugmentation(cover=1.0, interrupt=1.0, kinds=KINDS)(
            batch, torch.Generator().manual_seed(seed), CORPUS
        )
        assert not changed.mouth[~batch.mouth_seen].any()


def test_mirror(batch):
    torch.testing.assert_close(apply(batch, flip=1.0).mouth[:3], batch.mouth[:3].flip(-1), atol=1e-5, rtol=0)


def test_shift_moves_every_frame_of_an_utterance_alike(batch):
    mouth = apply(batch, shift=4.0).mouth
    # pictures are ramps, so that a shift adds a constant inside
    inside = (mouth - batch.mouth)[:, :, 8:-8, 8:-8]
    for row, frames in ((0, 20), (2, 12)):
        moved = inside[row, :frames]
        torch.testing.assert_close(moved, moved[0, 0, 0].expand_as(moved), atol=1e-4, rtol=0)
    assert inside[0].abs().max() > 1e-3
    assert not torch.allclose(inside[0, 0], inside[2, 0], atol=1e-4)


def test_light_is_one_line_per_utterance(batch):
    mouth = apply(batch, brightness=0.1, contrast=0.2).mouth
    for row in (0, 2):
        seen = batch.mouth_seen[row]
        x, y = batch.mouth[row, seen].flatten(), mouth[row, seen].flatten()
        slope = (y[-1] - y[0]) / (x[-1] - x[0])
        assert 0.8 <= slope <= 1.2
        torch.testing.assert_close(y, y[0] + slope * (x - x[0]), atol=1e-4, rtol=0)


def test_cover_is_one_rectangle_of_one_grey_for_the_whole_utterance(batch):
    mouth = apply(batch, cover=1.0).mouth
    changed = (mouth[0] - batch.mouth[0]).abs() > 1e-4
    covered = changed.any(0)
    rows, columns = covered.any(1), covered.any(0)
    assert torch.equal(covered, rows[:, None] & columns)
    assert 11 <= rows.sum() < 34
    assert mouth[0][:, covered].unique().numel() == 1


def stamps(mouth):
    """Which utterance and frame each picture comes from; -1 where it is blank."""
    number = ((mouth[..., 0, 0] - 0.24) / 0.002).round().long()
    return torch.where(mouth.flatten(-2).std(-1) < 1e-4, -1, number)


@pytest.mark.parametrize("kind", ["blank", "freeze", "swap", "late"])
def test_an_interruption_replaces_one_span(batch, kind):
    before = stamps(batch.mouth)[0]
    replaced = 0
    for seed in range(20):
        now = stamps(apply(batch, seed=seed, interrupt=1.0, kinds=(kind,)).mouth)[0]
        other = now[now != before]
        if len(other) == 0:  # a frozen span of one frame
            assert kind == "freeze"
            continue
        replaced += 1
        frame = before[now != before]
        match kind:
            case "blank":
                assert (other == -1).all()
                assert len(other) == frame[-1] - frame[0] + 1
            case "freeze":
                assert (other == frame[0] - 1).all()
                assert len(other) == frame[-1] - frame[0] + 1
            case "swap":
                # the neighbour of the first utterance is the last one with video, of 12 frames
                assert torch.equal(other, 100 + frame % 12)
            case "late":
                assert len(((other - frame) % 20).unique()) == 1
                assert 5 <= (other[0] - frame[0]) % 20 < 15
    assert replaced > 15


def test_a_share_of_utterances_is_interrupted():
    video = torch.rand(1, 10, 67, 67)
    batch = concatenate([Utterances.from_spectrum(torch.ones(1, 10, 513), video) for _ in range(200)])
    changed = (apply(batch, interrupt=0.3, kinds=("blank",)).mouth - video).abs().amax((1, 2, 3)) > 1e-3
    assert changed.float().mean() == pytest.approx(0.3, abs=0.1)


def test_an_unknown_kind_is_refused():
    with pytest.raises(UserError, match="melt"):
        MouthAugmentation(kinds=("blank", "melt"))


def test_sound_alone_passes(batch):
    alone = Utterances.from_spectrum(torch.ones(4, 513))
    assert MouthAugmentation()(alone, torch.Generator(), CORPUS) is alone


def test_a_share_of_mouths_is_hidden():
    many = concatenate([Utterances.from_spectrum(torch.ones(3, 4), torch.full((3, 67, 67), 0.5)) for _ in range(400)])
    hidden = apply(many, hide=0.3)
    seen = hidden.mouth_seen
    assert torch.equal(seen.any(1), seen.all(1))  # all of a clip or nothing
    assert (~seen.any(1)).float().mean().item() == pytest.approx(0.3, abs=0.08)
    assert (hidden.mouth[~seen] == 0).all()
    torch.testing.assert_close(hidden.mouth[seen], many.mouth[seen], atol=1e-5, rtol=0)
    assert many.mouth_seen.all()
    assert not apply(many, hide=1.0).mouth_seen.any()


def numbered(size=12, frames=20, filmed=None):
    """Utterances whose pictures tell their row and frame: grey level (row * 32 + frame) / 1024."""
    level = (torch.arange(size)[:, None] * 32 + torch.arange(frames) + 1) / 1024
    mouth = level[:, :, None, None].expand(size, frames, MOUTH_SIZE, MOUTH_SIZE).clone()
    utterances = Utterances.from_spectrum(torch.rand(size, frames, 5), mouth)
    if filmed is not None:
        seen = torch.zeros(size, frames, dtype=torch.bool)
        seen[:filmed] = True
        utterances = utterances.replace(mouth_seen=seen, mouth=mouth * seen[..., None, None])
    return utterances


def corrupt(utterances, seed=0, **arguments):
    transform = MouthCorruption(light=0.0, **arguments)
    return transform(utterances, torch.Generator().manual_seed(seed), None)


def origin(utterances):
    """Row and frame that each picture came from."""
    number = (utterances.mouth[:, :, 0, 0] * 1024).round().long() - 1
    return number // 32, number % 32


def test_no_share_of_corruption_changes_nothing():
    before = numbered()
    after = corrupt(before, share=0.0)
    # the light correction is one, and its floor below the darkest picture of this batch
    torch.testing.assert_close(after.mouth, before.mouth.clamp_min(1e-3))
    assert after.mouth_seen.all()


def test_every_kind_of_corruption_occurs_and_is_what_it_says():
    kinds = set()
    for seed in range(20):
        row, frame = origin(corrupt(numbered(), seed, share=1.0))
        own = torch.arange(12)[:, None]
        for r, f, o in zip(row, frame, own, strict=True):
            steps = (f[1:] - f[:-1]) % 20
            if (r != o).all():
                assert len(set(r.tolist())) == 1
                assert (steps == 1).all()
                kinds.add("swap")
            elif (r == o).all() and (steps == 1).all():
                assert f[0] != 0
                kinds.add("late")
            elif (r == o).all():
                moment = int(f.max())
                assert f.tolist() == [min(i, moment) for i in range(20)]
                kinds.add("freeze")
            else:
                moment = int((r != o).nonzero()[0])
                assert (r[moment:] == r[moment]).all()
                assert f[:moment].tolist() == list(range(moment))
                kinds.add("change")
    assert kinds == {"swap", "late", "freeze", "change"}


def test_corruption_gives_sound_without_video_the_mouth_of_another():
    before = numbered(filmed=5)
    after = corrupt(before, share=0.0)
    row, _ = origin(after)
    assert after.mouth_seen.all()
    assert (row[5:] < 5).all()
    assert (row[:5] == torch.arange(5)[:, None]).all()


def test_corruption_leaves_a_batch_without_any_video_alone():
    before = numbered(filmed=0)
    assert corrupt(before, share=1.0) is before


def test_corruption_depends_on_the_seed_alone_and_keeps_the_sound():
    before = numbered()
    one, two = (corrupt(before, 3, share=1.0) for _ in range(2))
    torch.testing.assert_close(one.mouth, two.mouth, rtol=0, atol=0)
    assert one.noisy_power is before.noisy_power
    assert one.spectrum is before.spectrum


def test_corruption_leaves_padding_unseen_and_unread():
    before = numbered()
    mask = torch.ones(12, 20, dtype=torch.bool)
    mask[::2, 15:] = False
    before = before.replace(mask=mask, mouth_seen=mask, mouth=before.mouth * mask[..., None, None])
    for seed in range(5):
        after = corrupt(before, seed, share=1.0)
        assert not after.mouth_seen[~mask].any()
        # no picture that counts comes from padding, whose grey level is zero
        assert (after.mouth[after.mouth_seen] > 1e-3 - 1e-9).all()
        assert (after.mouth[~after.mouth_seen] == 0).all()
