"""What holds a z for each alpha refuses priors whose frames hang on each other's z; what holds one sums exactly."""

import itertools
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import TraceEnum_ELBO
from torch import Tensor

from minvae_pyro.errors import UserError
from minvae_pyro.guides import (
    AmortisedGuide,
    MeanFieldGuide,
    MixtureGuide,
    MixtureUtteranceGuide,
    SharedGuide,
    SmoothedGuide,
    TwoVAEsGuide,
)
from minvae_pyro.guides.test_time.automatic import PyroGuide
from minvae_pyro.models import AudioVAE, ConditionalMinVAE, ConditionalVAE, Latent, MinVAE, MixtureOfVAEs
from minvae_pyro.nn.audio import ContextDecoder
from minvae_pyro.nn.visual import MouthPerceptron
from minvae_pyro.probability.elbo import AnalyticTraceEnum_ELBO
from minvae_pyro.utterances import Utterances

LATENT, BINS, FRAMES = 2, 5, 3


def min_vae() -> ConditionalMinVAE:
    prior = ConditionalMinVAE(LATENT, MouthPerceptron((4, 4), LATENT), decoder=ContextDecoder(LATENT, 4, BINS))
    with torch.no_grad():
        prior.decoder.context.weight.normal_()
    return prior.double()


def recording() -> Utterances:
    spectrum = torch.randn(1, FRAMES, BINS, dtype=torch.complex128)
    return Utterances.from_spectrum(spectrum, torch.rand(1, FRAMES, 67, 67, dtype=torch.float64))


def test_training_guides_with_a_z_for_each_alpha_refuse() -> None:
    assert min_vae().reach == 1
    with pytest.raises(UserError, match=r"MixtureGuide holds a z for each alpha.*this ConditionalMinVAE .*SharedGuide"):
        MixtureGuide(min_vae())
    SharedGuide(min_vae())
    audio = AudioVAE(decoder=ContextDecoder())
    with pytest.raises(UserError, match=r"MixtureOfVAEs holds a z for each alpha.*this AudioVAE"):
        MixtureOfVAEs(audio, ConditionalVAE())
    TwoVAEsGuide(MixtureOfVAEs())


def mixed(utterances: Utterances) -> None:
    with utterances.plates().every_frame():
        alpha = pyro.sample("alpha", dist.Bernoulli(torch.tensor(0.5).double()))
        mean = alpha[..., None].expand(*alpha.shape, LATENT)
        pyro.sample("z", dist.Normal(mean, 1.0).to_event(1))


@pytest.mark.parametrize("guide", [MixtureUtteranceGuide(), PyroGuide(mixed)])
def test_posteriors_of_recordings_with_a_z_for_each_alpha_refuse(guide: Any) -> None:
    batch = recording()
    begin = torch.zeros(1, FRAMES, LATENT).double(), torch.ones(1, FRAMES, LATENT).double()
    with pytest.raises(UserError, match=f"{type(guide).__name__} holds a z for each alpha"):
        guide.start(min_vae(), batch, begin)
    for one in (MeanFieldGuide(), SmoothedGuide(), PyroGuide()):
        one.start(min_vae(), batch, begin)
    # a prior without alpha has one z
    guide_of_one: Any = MixtureUtteranceGuide().start(AudioVAE(LATENT, ContextDecoder(LATENT, 4, BINS)), batch, begin)
    assert guide_of_one.alpha is None
    assert AmortisedGuide.z_by_alpha
    assert not MinVAE(LATENT).reach


@pytest.mark.parametrize("elbo", [TraceEnum_ELBO, AnalyticTraceEnum_ELBO])
def test_one_z_for_both_alphas_sums_over_all_paths(elbo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound at one draw of z, against a sum over the 2^N paths of alpha."""
    prior, batch = min_vae(), recording()
    mean, scale = torch.randn(1, FRAMES, LATENT).double(), 0.5 + torch.rand(1, FRAMES, LATENT).double()
    noise = torch.randn(1, FRAMES, LATENT).double()
    monkeypatch.setattr("torch.distributions.normal._standard_normal", lambda *a, **k: noise)
    q = torch.tensor([0.2, 0.5, 0.9]).double()
    draw = mean + scale * noise

    def guide(utterances: Utterances) -> None:
        with utterances.plates().every_frame():
            pyro.sample("alpha", dist.Bernoulli(q), infer={"enumerate": "parallel"})
            pyro.sample("z", dist.Normal(mean, scale).to_event(1))

    with torch.no_grad():
        found = -elbo(max_plate_nesting=2).loss(prior, guide, batch)
        heard = prior.likelihood(Latent(draw), batch).log_prob(batch.spectrum).sum()
        expected = heard.clone()
        posterior = dist.Normal(mean, scale).to_event(1)
        for path in itertools.product((0.0, 1.0), repeat=FRAMES):
            alpha = torch.tensor([path]).double()
            weight = dist.Bernoulli(q).log_prob(alpha).sum().exp()
            p_alpha: Any = prior.alpha_prior(batch)
            p_z = prior.z_prior(alpha, batch)
            divergence: Tensor
            if elbo is TraceEnum_ELBO:
                divergence = (posterior.log_prob(draw) - p_z.log_prob(draw)).sum()
            else:
                divergence = torch.distributions.kl_divergence(posterior, p_z).sum()
            expected += weight * (p_alpha.log_prob(alpha).sum() - dist.Bernoulli(q).log_prob(alpha).sum() - divergence)
    torch.testing.assert_close(torch.as_tensor(found).double(), expected, rtol=1e-7, atol=1e-7)
