"""What several lessons need and none is about: a talker, with video, and a MIN-VAE that has met this talker."""

from __future__ import annotations

import pyro
import torch
from torch import Tensor

from minvae_pyro.checkpoints.checkpoint import Checkpoint, load_checkpoint
from minvae_pyro.guides import FixedResponsibility, MixtureGuide, MouthEncoder
from minvae_pyro.models import MinVAE
from minvae_pyro.nn.visual import MouthConvolution
from minvae_pyro.probability.elbo import AnalyticTraceEnum_ELBO
from minvae_pyro.probability.parameters import local_parameters
from minvae_pyro.synthetic.corpus import SyntheticCorpus
from minvae_pyro.utterances import Utterances, concatenate

SPAN = 15
"""Half a second in frames: so long the audio encoder hears clean speech, then speech in noise, and so on."""


def in_noise(frames: int) -> Tensor:
    """Which frames the audio encoder hears in noise, (N,) bool."""
    return torch.arange(frames) // SPAN % 2 == 1


def talker_utterances(sentences: int, first_seed: int) -> Utterances:
    """Sentences of three seconds of the synthetic talker: clean power, what the audio encoder hears, and the mouth.

    In every other half second white noise, as loud as the speech is on average, is added to what the encoder hears.
    What the likelihood scores stays clean, as in the recipe of arXiv 1912.10647.
    """
    corpus = SyntheticCorpus(sentences, first_seed=first_seed)
    batch = concatenate([corpus.load(row) for row in range(sentences)]).replace(index=torch.arange(sentences))
    generator = torch.Generator().manual_seed(first_seed)
    noise = batch.power.mean() * torch.empty_like(batch.power).exponential_(generator=generator)
    return batch.replace(noisy_power=batch.power + noise * in_noise(batch.frames)[:, None])


def rows_of(utterances: Utterances, rows: Tensor) -> Utterances:
    """Some utterances of a batch."""
    return Utterances(**{name: tensor[rows] for name, tensor in utterances.tensors().items()})


def train(prior: MinVAE, guide: MixtureGuide, a_vae: Checkpoint, utterances: Utterances, epochs: int) -> None:
    """Train prior and guide on utterances, two at a time, decoder and audio encoder starting from those of an A-VAE."""
    prior.decoder.load_state_dict(a_vae.prior.get_submodule("decoder").state_dict())
    guide.audio.load_state_dict(a_vae.guide.get_submodule("audio").state_dict())
    bound = AnalyticTraceEnum_ELBO(max_plate_nesting=2)(prior, guide)
    adam = torch.optim.Adam(bound.parameters())
    order = [rows for _ in range(epochs) for rows in torch.randperm(len(utterances)).split(2)]
    schedule = torch.optim.lr_scheduler.OneCycleLR(adam, max_lr=3e-3, total_steps=len(order))
    with pyro.validation_enabled(False), local_parameters(prior, guide):
        for rows in order:
            batch = rows_of(utterances, rows)
            loss = bound(batch) / batch.mask.sum()
            adam.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(bound.parameters(), 500.0)
            adam.step()
            schedule.step()
    prior.eval()
    guide.eval()


def train_on_talker(utterances: Utterances, epochs: int = 12, seed: int = 0) -> tuple[MinVAE, MixtureGuide]:
    """A MIN-VAE whose decoder and audio encoder are those of the shipped A-VAE, trained on for a few seconds.

    Both encoders are trained at full weight, r = 1/2; the lessons look at other rules from there.
    """
    torch.manual_seed(seed)
    a_vae = load_checkpoint("a-vae-s1")
    prior = MinVAE()
    guide = MixtureGuide(
        prior,
        visual=MouthEncoder(MouthConvolution(channels=(8, 16, 32), features=64)),
        responsibility=FixedResponsibility(),
    )
    train(prior, guide, a_vae, utterances, epochs)
    return prior, guide
