"""What several lessons need and none is about: a talker in noise, and a MIN-VAE that has met this talker."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pyro
import torch
from torch import Tensor

from minvae_pyro.audio.mixing import mix_at_snr
from minvae_pyro.audio.stft import STFT
from minvae_pyro.building import local_parameters
from minvae_pyro.checkpoints import Checkpoint, load_checkpoint
from minvae_pyro.corpora.memory import SyntheticCorpus
from minvae_pyro.corpora.synthetic import synthesise
from minvae_pyro.corpora.synthetic_noise import synthetic_noise
from minvae_pyro.elbo import AnalyticTraceEnum_ELBO
from minvae_pyro.evaluation.scores import si_sdr
from minvae_pyro.guides import FixedResponsibility, SharedGuide
from minvae_pyro.models import ConditionalMinVAE, FixedMixing
from minvae_pyro.networks import MouthConvolution
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

    def quality(self, gain: Tensor) -> Tensor:
        """SI-SDR of what a Wiener gain (B, N, F) lets through, (B,) dB."""
        return si_sdr(self.clean, self.stft.inverse(gain * self.utterances.spectrum, self.noisy.shape[-1]))


def record(seeds: Iterable[int], noise: str, seconds: float = 3.0, snr_db: float = 0.0) -> Recording:
    """Film and record sentences, one for each seed, in synthetic noise of a kind."""
    stft, parts = STFT(), []
    for seed in seeds:
        talk = synthesise(seconds, seed)
        noisy, clean = mix_at_snr(talk.waveform, synthetic_noise(noise, len(talk.waveform), seed + 50), snr_db)
        level = noisy.square().mean().sqrt()
        spectrum = stft(noisy / level)
        film = MouthTrack(talk.crops, talk.times, torch.ones(len(talk.times), dtype=torch.bool))
        utterances = Utterances.from_spectrum(spectrum, *align_mouth(film, stft.frame_times(len(spectrum))))
        parts.append((clean / level, noisy / level, utterances))
    clean, noisy = (torch.stack([part[place] for part in parts]) for place in (0, 1))
    return Recording(clean, noisy, concatenate([part[2] for part in parts]), stft)


def meet_the_talker(utterances: int = 32, epochs: int = 10, seed: int = 0) -> Checkpoint:
    """Train a small MIN-VAE on clean sentences of the talker, its sound starting from the shipped A-VAE.

    The shipped MIN-VAE has learnt to read the lips of people and not those of a drawing. One posterior of z, from the
    clean sound, is fitted to both components of the prior, the visual one by ``KL(q(z | s) || p(z | mouth))``.
    """
    torch.manual_seed(seed)
    heard = load_checkpoint("a-vae")
    prior = ConditionalMinVAE(mixing=FixedMixing(), network=MouthConvolution(channels=(8, 16, 32), features=64))
    guide = SharedGuide(prior, responsibility=FixedResponsibility())
    prior.decoder.load_state_dict(heard.prior.get_submodule("decoder").state_dict())
    guide.audio.load_state_dict(heard.guide.get_submodule("audio").state_dict())
    corpus = SyntheticCorpus(utterances, first_seed=1000)
    bound = AnalyticTraceEnum_ELBO(max_plate_nesting=2)(prior, guide)
    adam = torch.optim.Adam(bound.parameters())
    batches = [rows for _ in range(epochs) for rows in torch.randperm(utterances).split(2)]
    schedule = torch.optim.lr_scheduler.OneCycleLR(adam, max_lr=3e-3, total_steps=len(batches))
    with pyro.validation_enabled(False), local_parameters(prior, guide):
        for rows in batches:
            batch = concatenate([corpus.load(row) for row in rows.tolist()])
            loss = bound(batch) / batch.mask.sum()
            adam.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(bound.parameters(), 500.0)
            adam.step()
            schedule.step()
    return Checkpoint(prior.eval(), guide.eval(), corpus.stft, {"noise": "NMFNoise"}, {})
