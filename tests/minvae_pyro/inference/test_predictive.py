from typing import Any

import pytest
import torch

from minvae_pyro.inference import draw_speech, infer

SVI = {"class_path": "svi", "init_args": {"iterations": 3, "steps": 1}}


@pytest.mark.parametrize(
    ("guide", "mixture"),
    [
        ("MeanFieldGuide", False),
        ("MeanFieldGuide", True),
        ("MixtureUtteranceGuide", True),
        ("ParticleGuide", True),
        ("PyroGuide", True),
    ],
)
def test_draws_have_the_mean_and_the_spread_of_the_wiener_filter(noisy: Any, guide: str, mixture: bool) -> None:
    """E[s | x] is the gain times x; |s - gain x|^2 is gain times noise, in the mean."""
    batch = noisy.batch()
    found = infer(noisy.checkpoint(mixture, noise="NMFNoise", draws=30), batch, engine=SVI, guide=guide)
    drawn = list(draw_speech(found, 80, seed=3))
    gains, deviations = (torch.stack(parts) for parts in zip(*drawn, strict=True))
    torch.testing.assert_close(gains.mean(0), found.gain, rtol=0, atol=0.2)
    # circular: real and imaginary part are as loud as each other, and nothing deviates in the mean
    expected = (gains * found.mixture.noise(batch)).mean(0)
    ratio = deviations.abs().square().mean(0) / expected
    assert float(ratio.mean()) == pytest.approx(1.0, abs=0.1)
    assert float((ratio - 1).abs().max()) < 0.9
    assert float(deviations.mean(0).abs().square().mean() / expected.mean()) < 0.06


def test_draws_follow_from_their_seed(noisy: Any) -> None:
    found = infer(noisy.checkpoint(noise="NMFNoise"), noisy.batch(), engine=SVI)
    before = torch.get_rng_state()
    one, other, another = (next(draw_speech(found, 1, seed)) for seed in (0, 0, 1))
    assert torch.equal(one[1], other[1])
    assert not torch.equal(one[1], another[1])
    assert torch.equal(before, torch.get_rng_state())


def test_nothing_deviates_where_nothing_is_observed_and_what_is_unexplained_is_admitted(noisy: Any) -> None:
    batch = noisy.batch()
    batch.observed = torch.ones(batch.spectrum.shape, dtype=torch.bool)
    batch.observed[..., 2] = False
    checkpoint = noisy.checkpoint(noise="NMFNoise", unexplained=0.3)
    found = infer(checkpoint, batch, engine=SVI)
    gain, deviation = next(draw_speech(found, 1))
    assert float(deviation[..., 2].abs().max()) == 0.0
    assert float(deviation[..., 1].abs().min()) > 0.0
    assert float(gain.min()) > 0.05
