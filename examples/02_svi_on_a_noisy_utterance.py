"""Lesson 2: inference on one noisy utterance, step by step; the noise is learnt from nothing.

A synthetic talker speaks in pink noise. The shipped A-VAE is the prior of the speech, the noise is a random low-rank
matrix, and stochastic variational inference alternates steps on q(z) with updates of the noise. The script prints the
objective and the quality as they rise.

    python examples/02_svi_on_a_noisy_utterance.py [--output FOLDER]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from minvae_pyro.audio.mixing import mix_at_snr
from minvae_pyro.checkpoints import load_checkpoint
from minvae_pyro.corpora.synthetic import speak
from minvae_pyro.corpora.synthetic_noise import synthetic_noise
from minvae_pyro.evaluation.scores import si_sdr
from minvae_pyro.guides import MeanFieldGuide
from minvae_pyro.inference import StochasticVariational
from minvae_pyro.models import NMFNoise, NoisyMixture
from minvae_pyro.plots import save_figure
from minvae_pyro.utterances import Utterances


def main() -> None:
    """Run the lesson."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("examples-output"), help="folder of the figure")
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)

    checkpoint = load_checkpoint("a-vae")
    speech = speak(3.0, seed=3)
    noisy, clean = mix_at_snr(speech, synthetic_noise("pink", len(speech), seed=4), 0.0)
    spectrum = checkpoint.stft(noisy / noisy.square().mean().sqrt())
    utterances = Utterances.from_spectrum(spectrum)

    # the model of what is heard: a trained prior, untrained noise, one gain
    noise = NMFNoise(rank=4).start(utterances)
    mixture = NoisyMixture(checkpoint.prior, noise, torch.ones(1, 1, 1))
    # the posterior of this one utterance starts at the audio encoder
    trained: Any = checkpoint.guide
    guide = MeanFieldGuide().start(checkpoint.prior, utterances, trained.heard(utterances))

    level = noisy.square().mean().sqrt()
    objective: list[float] = []
    quality: list[float] = []

    def watch(iteration: int, total: int, value: float) -> None:
        # the code of the A-VAE is z itself
        gain = mixture.wiener_gain(guide.draw(1)["z"][0], utterances)[0]
        estimate = checkpoint.stft.inverse(gain * spectrum, len(noisy)) * level
        objective.append(value)
        quality.append(float(si_sdr(clean, estimate)))
        if iteration % 10 == 0:
            print(f"iteration {iteration:3}: ELBO {value:8.2f} nats a frame, SI-SDR {quality[-1]:5.2f} dB")

    print(f"noisy: SI-SDR {float(si_sdr(clean, noisy)):.2f} dB")
    StochasticVariational(iterations=60)(mixture, guide, utterances, callback=watch)

    figure = Figure(figsize=(7, 6), layout="constrained")
    upper, lower = figure.subplots(2)
    upper.plot(objective, color="#0072B2", label="ELBO")
    upper.set(xlabel="iteration", ylabel="ELBO (nats per frame)")
    twin = upper.twinx()
    twin.plot(quality, color="#D55E00", linestyle="--", label="SI-SDR")
    twin.set_ylabel("SI-SDR (dB, dashed)")
    frequencies = torch.linspace(0, checkpoint.stft.sample_rate / 2000, checkpoint.stft.frequencies)
    lower.plot(frequencies.numpy(), 10 * noise.spectra[0].log10().numpy())
    lower.set(xlabel="frequency (kHz)", ylabel="level (dB)", title="The learnt noise spectra, one line each")
    print("figure:", save_figure(figure, folder / "02_svi_on_a_noisy_utterance.png", overwrite=True))


if __name__ == "__main__":
    main()
