"""One loudness of the speech for the clip, or one for each frame."""

from typing import Any

import pytest
import torch

from minvae_pyro.errors import UserError
from minvae_pyro.inference import FastVariational, InferenceEngine, PointEM, StochasticVariational, VariationalEM, infer

ENGINES = [FastVariational(iterations=3), StochasticVariational(iterations=3), VariationalEM(iterations=3), PointEM(3)]


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: type(engine).__name__)
@pytest.mark.parametrize(("per", "frames"), [("clip", 1), ("frame", 4)])
def test_every_engine_fits_the_gain_that_is_asked_for(
    noisy: Any, engine: InferenceEngine, per: str, frames: int
) -> None:
    batch = noisy.batch(2, 4)
    batch.mask[1, 3] = batch.mouth_seen[1, 3] = False
    found = infer(noisy.checkpoint(), batch, engine=engine, gain=per)
    assert found.mixture.gain.shape == (2, frames, 1)
    assert (found.mixture.gain > 0).all()
    assert (found.mixture.gain != 1).any()
    assert found.gain.isfinite().all()
    assert all(map(torch.isfinite, map(torch.tensor, found.objective)))


@pytest.mark.parametrize("engine", [FastVariational(iterations=40), StochasticVariational(iterations=40)])
def test_a_gain_per_frame_follows_the_loudness_within_a_clip(noisy: Any, engine: InferenceEngine) -> None:
    checkpoint, batch = noisy.checkpoint(False), noisy.batch(1, 6)
    steps = torch.tensor([1.0, 1, 1, 30, 30, 30], dtype=torch.float64)[:, None]
    louder = batch.replace(spectrum=batch.spectrum * steps)
    gain = infer(checkpoint, louder, engine=engine, gain="frame").mixture.gain[0, :, 0]
    assert gain[3:].min() > gain[:3].max()


def test_a_window_that_moves_on_keeps_the_gains_of_its_frames_half_way_to_one(noisy: Any) -> None:
    checkpoint, batch = noisy.checkpoint(), noisy.batch(1, 5)
    before = infer(checkpoint, batch, engine=FastVariational(iterations=3), gain="frame")
    after = infer(checkpoint, batch, engine=FastVariational(0), gain="frame", earlier=before, dropped=2)
    known = before.mixture.gain[:, 2:].sqrt()
    torch.testing.assert_close(after.mixture.gain, torch.cat([known, torch.ones(1, 2, 1, dtype=torch.float64)], 1))


def test_another_gain_is_refused(noisy: Any) -> None:
    with pytest.raises(UserError, match="a gain per clip or frame, not 'second'"):
        infer(noisy.checkpoint(), noisy.batch(1, 1), gain="second")
