import torch

from minvae_pyro.training.augmentation import MouthCorruption
from minvae_pyro.utterances import MOUTH_SIZE, Utterances


def batch(size=12, frames=20, filmed=None):
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


def test_nothing_is_changed_without_a_share():
    before = batch()
    after = corrupt(before, share=0.0)
    # the light correction is one, and its floor below the darkest picture of this batch
    torch.testing.assert_close(after.mouth, before.mouth.clamp_min(1e-3))
    assert after.mouth_seen.all()


def test_every_kind_occurs_and_is_what_it_says():
    kinds = set()
    for seed in range(20):
        row, frame = origin(corrupt(batch(), seed, share=1.0))
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


def test_sound_without_video_gets_the_mouth_of_another():
    before = batch(filmed=5)
    after = corrupt(before, share=0.0)
    row, _ = origin(after)
    assert after.mouth_seen.all()
    assert (row[5:] < 5).all()
    assert (row[:5] == torch.arange(5)[:, None]).all()


def test_a_batch_without_any_video_is_left_alone():
    before = batch(filmed=0)
    assert corrupt(before, share=1.0) is before


def test_sound_and_seed_decide_nothing_else():
    before = batch()
    one, two = (corrupt(before, 3, share=1.0) for _ in range(2))
    torch.testing.assert_close(one.mouth, two.mouth, rtol=0, atol=0)
    assert one.noisy_power is before.noisy_power
    assert one.spectrum is before.spectrum


def test_padding_stays_unseen_and_unread():
    before = batch()
    mask = torch.ones(12, 20, dtype=torch.bool)
    mask[::2, 15:] = False
    before = before.replace(mask=mask, mouth_seen=mask, mouth=before.mouth * mask[..., None, None])
    for seed in range(5):
        after = corrupt(before, seed, share=1.0)
        assert not after.mouth_seen[~mask].any()
        # no picture that counts comes from padding, whose grey level is zero
        assert (after.mouth[after.mouth_seen] > 1e-3 - 1e-9).all()
        assert (after.mouth[~after.mouth_seen] == 0).all()
