"""Cells that say nothing decide nothing, whatever stands in them, for every engine and every noise model."""

from typing import Any

import pytest
import scipy.signal
import torch
from torch import Tensor

from minvae_pyro.audio.files import read_sound
from minvae_pyro.audio.mixing import mix_at_snr
from minvae_pyro.checkpoints.checkpoint import load_checkpoint
from minvae_pyro.enhancement.batch import enhance_batch
from minvae_pyro.evaluation.scores import si_sdr
from minvae_pyro.inference import infer
from minvae_pyro.inference.imputation import imputed
from minvae_pyro.inference.settings import ENGINES
from minvae_pyro.models import Latent, MixtureOfVAEs, spectral_likelihood
from minvae_pyro.utterances import Utterances, concatenate

NOISES = ("NMFNoise", "BayesianNMFNoise", "StationaryNoise")


def holes(batch: Utterances) -> Tensor:
    """A band without observation, a frame without any, and single cells."""
    observed = torch.rand(batch.spectrum.shape, generator=torch.Generator().manual_seed(3)) > 0.2
    observed[..., -2:] = False
    observed[:, 1] = False
    return observed


def test_the_likelihood_is_that_of_the_cells_that_are_observed(noisy: Any) -> None:
    batch = noisy.batch()
    prior = noisy.prior(mixture=False)
    mixture = noisy.mixture(batch, prior)
    z = torch.randn(*batch.mask.shape, prior.latent_dim, dtype=torch.float64)
    observed = holes(batch)
    variance = mixture.gain * prior.decoder(z) + (mixture.noise.spectra @ mixture.noise.activations).mT
    by_hand = ((-(torch.pi * variance).log() - batch.power / variance) * observed).sum(-1)
    seen = batch.replace(observed=observed)
    torch.testing.assert_close(mixture.likelihood(Latent(z), seen).log_prob(seen.spectrum), by_hand)
    power = seen.replace(spectrum=seen.power)
    clean = spectral_likelihood(power, variance).log_prob(power.spectrum)
    torch.testing.assert_close(clean, by_hand + torch.log(torch.tensor(torch.pi)) * observed.sum(-1))


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("name", ENGINES)
def test_what_stands_in_empty_cells_does_not_matter(name: str, few: Any, noise: str, noisy: Any) -> None:
    batch, checkpoint = noisy.batch(), noisy.checkpoint()
    observed = holes(batch)
    loud = torch.where(observed, batch.spectrum, 1e3 * batch.spectrum)
    found = [
        infer(
            checkpoint,
            Utterances.from_spectrum(spectrum, batch.mouth, observed=observed),
            engine=few(name),
            noise=noise,
        )
        for spectrum in (batch.spectrum, loud, torch.where(observed, batch.spectrum, 0))
    ]
    for other in found[1:]:
        torch.testing.assert_close(other.mixture.gain, found[0].mixture.gain)
        torch.testing.assert_close(other.gain, found[0].gain)
        assert other.objective == pytest.approx(found[0].objective)
    everything = infer(checkpoint, batch, engine=few(name), noise=noise)
    assert abs(everything.objective[-1] - found[0].objective[-1]) > 1e-3


@pytest.mark.parametrize("name", ENGINES)
def test_all_observed_is_as_nothing_said(name: str, few: Any, noisy: Any) -> None:
    batch, checkpoint = noisy.batch(), noisy.checkpoint()
    every = batch.replace(observed=torch.ones(batch.spectrum.shape, dtype=torch.bool))
    found, expected = (infer(checkpoint, one, engine=few(name)) for one in (every, batch))
    torch.testing.assert_close(found.gain, expected.gain)


def test_encoders_read_what_the_prior_expects_in_empty_cells(noisy: Any) -> None:
    batch, checkpoint = noisy.batch(), noisy.checkpoint(mixture=False)
    observed = holes(batch)
    filled = imputed(checkpoint.prior, checkpoint.guide, batch.replace(observed=observed))
    assert filled.spectrum[observed].equal(batch.spectrum[observed])
    other = torch.where(observed, batch.spectrum, 7.0)
    again = imputed(checkpoint.prior, checkpoint.guide, batch.replace(spectrum=other, observed=observed))
    assert again.noisy_power.equal(filled.noisy_power)
    # what decoder and encoder made of each other in the round before the last
    previous = torch.where(observed, batch.power, checkpoint.prior.decoder(torch.zeros(*batch.mask.shape, 3).double()))
    for _ in range(2):
        mean, _ = checkpoint.guide.audio.encoder(previous)
        previous = torch.where(observed, batch.power, checkpoint.prior.decoder(mean))
    torch.testing.assert_close(filled.noisy_power, previous.detach())
    assert imputed(checkpoint.prior, checkpoint.guide, batch) is batch


def test_empty_cells_are_the_sounds_where_alpha_decides(noisy: Any) -> None:
    batch = noisy.batch()
    audio, visual = noisy.prior(mixture=False), noisy.prior(mixture=False)
    prior, observed = MixtureOfVAEs(audio, visual), holes(batch)
    guide = noisy.checkpoint(mixture=False).guide
    one, other = (imputed(story, guide, batch.replace(observed=observed)) for story in (prior, audio))
    torch.testing.assert_close(one.noisy_power, other.noisy_power)
    assert not one.noisy_power.requires_grad


def test_recordings_with_and_without_holes_share_a_batch(noisy: Any) -> None:
    one, other = noisy.batch(1, 3), noisy.batch(1, 5)
    observed = holes(one)
    together = concatenate([one.replace(observed=observed), other])
    assert together.observed is not None
    assert together.observed[0, :3].equal(observed[0])
    assert together.observed[1].all()
    assert not together.evident[0, 3:].any()


def resampled(sound: Tensor, rate: int) -> Tensor:
    low = scipy.signal.resample_poly(sound.numpy(), rate // 100, 160)
    return torch.from_numpy(scipy.signal.resample_poly(low, 160, rate // 100)[: len(sound)].copy()).float()


def zeros_inside(sound: Tensor) -> Tensor:
    gated = sound.clone()
    gated[20000:24000] = 0
    return gated


def quantised(sound: Tensor) -> Tensor:
    step = float(sound.abs().max()) / 64  # seven bits
    return (sound / step).round() * step


def notched(sound: Tensor) -> Tensor:
    sos = scipy.signal.butter(4, [1900, 2100], "bandstop", fs=16000, output="sos")
    return torch.from_numpy(scipy.signal.sosfiltfilt(sos, sound.numpy()).copy()).float()


KINDS: dict[str, Any] = {
    "10 ms of zeros": lambda x: torch.cat([torch.zeros(160), x]),
    "500 ms of zeros": lambda x: torch.cat([torch.zeros(8000), x]),
    "20 s of zeros": lambda x: torch.cat([torch.zeros(320_000), x]),
    "drop-out": zeros_inside,
    "gate": lambda x: torch.cat([1e-5 * x[:16000], x]),
    "8 kHz": lambda x: resampled(x, 8000),
    "low-pass of a codec": lambda x: resampled(x, 14000),
    "notch": notched,
    "few bits": quantised,
}
FILTERED = ("drop-out", "8 kHz", "low-pass of a codec", "notch")
SHORT: dict[str, dict[str, int]] = {
    "fast": {},
    "svi": {"iterations": 30},
    "vem": {"iterations": 40},
    "map": {"iterations": 40},
    "mcem": {"iterations": 25, "steps": 12, "burn_in": 8},
    "langevin": {"iterations": 25, "chains": 1},
}


@pytest.fixture(scope="module")
def mixture(real_data: Any) -> tuple[Tensor, Tensor]:
    clean = read_sound(real_data / "grid" / "s1" / "validation" / "bwbt9a.mkv").mono()
    noise = read_sound(real_data / "noise" / "rain.flac").mono()
    return mix_at_snr(clean, noise, 5.0, 16000)


@pytest.mark.parametrize("name", ENGINES)
def test_a_real_recording_gains_what_the_same_one_untouched_gains(name: str, mixture: tuple[Tensor, Tensor]) -> None:
    checkpoint = load_checkpoint("a-vae")
    engine = ENGINES[name](**SHORT[name])  # type: ignore[arg-type]

    def gained(change: Any, filtered: bool) -> float:
        """Decibels of SI-SDR."""
        noisy, clean = mixture
        sound = change(noisy)
        reference = change(clean) if filtered else clean
        estimate = enhance_batch(checkpoint, [sound], [None], settings={"engine": engine})[0].speech
        first = len(sound) - len(clean)
        return float(si_sdr(reference, estimate[first:]) - si_sdr(reference, sound[first:]))

    expected = gained(lambda sound: sound, False)
    found = {kind: gained(change, kind in FILTERED) for kind, change in KINDS.items()}
    assert expected > 1
    assert {kind: value - expected for kind, value in found.items() if value < expected - 1.5} == {}
