"""Lesson 3: a prior of your own runs under every engine, and nothing of ours is touched.

The prior below says that a frame is loud or soft as well as what its spectrum is like: it wraps the shipped A-VAE and
gives each frame a log-normal level of its own, as one more latent coordinate. Thirty lines, two methods.

    python examples/03_write_your_own_prior.py
"""

from __future__ import annotations

import argparse
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from minvae_pyro.audio.mixing import mix_at_snr
from minvae_pyro.checkpoints import load_checkpoint
from minvae_pyro.corpora.synthetic import speak
from minvae_pyro.corpora.synthetic_noise import synthetic_noise
from minvae_pyro.evaluation.scores import si_sdr
from minvae_pyro.guides import MeanFieldGuide
from minvae_pyro.inference import InferenceEngine, StochasticVariational, VariationalEM
from minvae_pyro.models import NMFNoise, NoisyMixture, SpeechPrior
from minvae_pyro.utterances import Plates, Utterances


class LevelledPrior(SpeechPrior):
    """Any prior, and a level per frame.

    ::

        for n in frames:
            z[n] ~ N(0, I)                                          # the last coordinate is the level
            s[n] ~ N_c(0, exp(spread * z[n, -1]) * diag variance(z[n, :-1]))

    Args:
        prior: gives the spectrum.
        spread: natural logarithm of one standard deviation of level.
    """

    def __init__(self, prior: SpeechPrior, spread: float = 0.5) -> None:
        super().__init__()
        self.prior = prior
        self.spread = spread
        self.latent_dim = prior.latent_dim + 1

    def latent(self, utterances: Utterances, plates: Plates) -> Tensor:
        """Sample ``z``, (B, N, L + 1)."""
        with plates.every_frame():
            return pyro.sample("z", dist.Normal(utterances.heard.new_zeros(self.latent_dim), 1.0).to_event(1))

    def speech_variance(self, code: Tensor, utterances: Utterances) -> Tensor:
        """Variance of speech (..., B, N, F); the code is z."""
        return (self.spread * code[..., -1:]).exp() * self.prior.speech_variance(code[..., :-1], utterances)


def main() -> None:
    """Run the lesson."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    checkpoint = load_checkpoint("a-vae")
    speech = speak(3.0, seed=5)
    noisy, clean = mix_at_snr(speech, synthetic_noise("brown", len(speech), seed=6), 0.0)
    level = noisy.square().mean().sqrt()
    spectrum = checkpoint.stft(noisy / level)
    utterances = Utterances.from_spectrum(spectrum)
    trained: Any = checkpoint.guide
    mean, scale = trained.heard(utterances)
    before = float(si_sdr(clean, noisy))

    own = LevelledPrior(checkpoint.prior)
    priors: dict[str, SpeechPrior] = {"A-VAE": checkpoint.prior, "A-VAE with a level per frame": own}
    engines: list[InferenceEngine] = [StochasticVariational(), VariationalEM()]
    for name, prior in priors.items():
        missing = prior.latent_dim - mean.shape[-1]
        start = torch.nn.functional.pad(mean, (0, missing)), torch.nn.functional.pad(scale, (0, missing), value=1.0)
        for engine in engines:
            torch.manual_seed(0)
            mixture = NoisyMixture(prior, NMFNoise(rank=4).start(utterances), torch.ones(1, 1, 1))
            guide = MeanFieldGuide().start(prior, utterances, start)
            engine(mixture, guide, utterances)
            gain = engine.gain(mixture, guide, utterances, samples=8)[0]
            estimate = checkpoint.stft.inverse(gain * spectrum, len(noisy)) * level
            after = float(si_sdr(clean, estimate))
            print(f"{name}, {type(engine).__name__}: SI-SDR {before:.2f} -> {after:.2f} dB")


if __name__ == "__main__":
    main()
