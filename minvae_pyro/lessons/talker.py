"""What several lessons need and none is about: a talker in noise, and a MIN-VAE that has met this talker."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from minvae_pyro.audio.mixing import mix_at_snr
from minvae_pyro.audio.stft import STFT
from minvae_pyro.checkpoints.checkpoint import Checkpoint, load_checkpoint
from minvae_pyro.evaluation.scores import si_sdr
from minvae_pyro.guides import FixedResponsibility, SharedGuide
from minvae_pyro.lessons.mixture import train
from minvae_pyro.models import ConditionalMinVAE, FixedAlphaPrior
from minvae_pyro.nn.visual import MouthConvolution
from minvae_pyro.synthetic.corpus import SyntheticCorpus
from minvae_pyro.synthetic.noise import synthetic_noise
from minvae_pyro.synthetic.talker import synthesise
from minvae_pyro.utterances import Utterances, concatenate
from minvae_pyro.video.align import align_mouth
from minvae_pyro.video.track import MouthTrack


@dataclass(frozen=True)
class Recording:
    """Utterances of the synthetic talker in noise, with video.

    Attributes:
        clean: (B, samples) at 16 kHz.
        noisy: (B, samples), at unit root mean square.
        utterances: the noisy spectra and the mouths.
        stft: how they were transformed.
    """

    clean: Tensor
    noisy: Tensor
    utterances: Utterances
    stft: STFT

    @property
    def before(self) -> Tensor:
        """SI-SDR of what is heard, (B,) dB."""
        return si_sdr(self.clean, self.noisy)

    def estimate(self, gain: Tensor) -> Tensor:
        """What a Wiener gain (B, N, F) lets through, (B, samples)."""
        return self.stft.inverse(gain * self.utterances.spectrum, self.noisy.shape[-1])

    def quality(self, gain: Tensor) -> Tensor:
        """SI-SDR of what a Wiener gain (B, N, F) lets through, (B,) dB."""
        return si_sdr(self.clean, self.estimate(gain))


def record(seeds: Iterable[int], noise: str, seconds: float = 3.0, snr_db: float = 0.0) -> Recording:
    """Film and record sentences, one for each seed, in synthetic noise of a kind."""
    stft = STFT()
    clean, noisy, batches = [], [], []
    for seed in seeds:
        talk = synthesise(seconds, seed)
        mixed, speech = mix_at_snr(talk.waveform, synthetic_noise(noise, len(talk.waveform), seed + 50), snr_db)
        level = mixed.square().mean().sqrt()
        spectrum = stft(mixed / level)
        film = MouthTrack(talk.crops, talk.times, torch.ones(len(talk.times), dtype=torch.bool))
        clean.append(speech / level)
        noisy.append(mixed / level)
        batches.append(Utterances.from_spectrum(spectrum, *align_mouth(film, stft.frame_times(len(spectrum)))))
    return Recording(torch.stack(clean), torch.stack(noisy), concatenate(batches), stft)


def train_on_talker(utterances: int = 32, epochs: int = 10, seed: int = 0) -> Checkpoint:
    """Train a small MIN-VAE on clean sentences of the talker, its sound starting from the shipped A-VAE.

    The shipped MIN-VAE has learnt to read the lips of people and not those of a drawing. One posterior of z, from the
    clean sound, is fitted to both components of the prior, the visual one by ``KL(q(z | s) || p(z | mouth))``.
    """
    torch.manual_seed(seed)
    a_vae = load_checkpoint("a-vae-s1")
    prior = ConditionalMinVAE(
        alpha_prior=FixedAlphaPrior(), network=MouthConvolution(channels=(8, 16, 32), features=64)
    )
    guide = SharedGuide(prior, responsibility=FixedResponsibility())
    corpus = SyntheticCorpus(utterances, first_seed=1000)
    train(prior, guide, a_vae, concatenate([corpus.load(row) for row in range(utterances)]), epochs)
    return Checkpoint(prior, guide, corpus.stft, {"noise": "NMFNoise"}, {})
