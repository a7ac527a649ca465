"""Lesson 1: the responsibility, derived and checked by brute force.

The bound of one frame is ``r L_a + (1 - r) L_v - KL(Bernoulli(r) || Bernoulli(pi))``. Its best r has a closed form,
``sigmoid(logit(pi) + L_a - L_v)``, and at that r the bound is a log-sum-exp. This script draws frames of a synthetic
talker, asks the shipped MIN-VAE for L_a and L_v, and compares the closed form with a search over r, and the loss of
Pyro's enumerated ELBO with the log-sum-exp.

    python examples/01_the_responsibility.py [--output FOLDER]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from matplotlib.figure import Figure
from torch.nn.functional import logsigmoid

from minvae_pyro.audio.stft import STFT
from minvae_pyro.building import local_parameters
from minvae_pyro.checkpoints import load_checkpoint
from minvae_pyro.corpora.synthetic import synthesise
from minvae_pyro.elbo import AnalyticTraceEnum_ELBO
from minvae_pyro.guides import CollapsedResponsibility, SharedGuide
from minvae_pyro.plots import save_figure
from minvae_pyro.utterances import Utterances
from minvae_pyro.video.align import align_mouth
from minvae_pyro.video.track import MouthTrack


def synthetic_frames() -> Utterances:
    """One second of a synthetic talker, in double precision."""
    talk = synthesise(1.0, seed=1)
    stft = STFT()
    spectrum = stft(talk.waveform / talk.waveform.square().mean().sqrt())
    track = MouthTrack(talk.crops, talk.times, torch.ones(len(talk.times), dtype=torch.bool))
    mouth, seen = align_mouth(track, stft.frame_times(len(spectrum)))
    return Utterances.from_spectrum(spectrum.abs().square(), mouth, seen).to(torch.float64)


def main() -> None:
    """Run the lesson."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("examples-output"), help="folder of the figure")
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    utterances = synthetic_frames()
    checkpoint = load_checkpoint("min-vae")
    model = checkpoint.prior.double()
    trained: Any = checkpoint.guide
    guide = SharedGuide(model, trained.audio, CollapsedResponsibility()).double().eval()

    posterior = dist.Normal(*guide.posteriors(utterances))
    pyro.set_rng_seed(1)
    p_alpha, *bounds = guide.bounds(utterances, posterior, guide.draw(posterior))
    logit, audio, visual = (value[0].detach() for value in (p_alpha.logits, *bounds))
    best = torch.sigmoid(logit + audio - visual)

    grid = torch.linspace(1e-4, 1 - 1e-4, 9999, dtype=torch.float64)[:, None]
    divergence = grid * (grid.log() - logsigmoid(logit)) + (1 - grid) * ((1 - grid).log() - logsigmoid(-logit))
    bound = grid * audio + (1 - grid) * visual - divergence
    found = grid[bound.argmax(0), 0]
    print(f"closed form against search over r: largest difference {(best - found).abs().max():.1e} (grid step 1e-4)")

    collapsed = torch.logsumexp(torch.stack([logsigmoid(logit) + audio, logsigmoid(-logit) + visual]), 0).sum()
    pyro.set_rng_seed(1)  # the same draw of z
    with local_parameters(model, guide):
        loss = AnalyticTraceEnum_ELBO(max_plate_nesting=2).loss(model, guide, utterances)
    print(f"log-sum-exp of both bounds {collapsed:.6f}, enumerated ELBO {-loss:.6f} nats")

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for frame, colour in zip((5, 15, 25), ("#0072B2", "#D55E00", "#009E73"), strict=True):
        axes.plot(grid[:, 0], bound[:, frame] - bound[:, frame].max(), color=colour, label=f"frame {frame}")
        axes.axvline(float(best[frame]), color=colour, linestyle=":")
    axes.set(xlabel="responsibility r", ylabel="bound below its best (nats)", ylim=(-8, 0.5))
    axes.set_title("The bound over r; dotted: the closed form")
    axes.legend()
    print("figure:", save_figure(figure, folder / "01_the_responsibility.png", overwrite=True))


if __name__ == "__main__":
    main()
