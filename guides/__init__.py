"""Pyro guides: posteriors for training and for test time."""

from minvae_pyro.guides.audio_visual import AudioVisualGuide as AudioVisualGuide
from minvae_pyro.guides.deep_kalman_filter import RecurrentGuide as RecurrentGuide, StructuredGuide as StructuredGuide
from minvae_pyro.guides.encoders import (
    CleanAudioEncoder as CleanAudioEncoder,
    MouthEncoder as MouthEncoder,
    NoisyAudioEncoder as NoisyAudioEncoder,
)
from minvae_pyro.guides.min_vae import MixtureGuide as MixtureGuide, SharedGuide as SharedGuide
from minvae_pyro.guides.mixture_of_vaes import TwoVAEsGuide as TwoVAEsGuide
from minvae_pyro.guides.responsibility import (
    CollapsedResponsibility as CollapsedResponsibility,
    Evidence as Evidence,
    FixedResponsibility as FixedResponsibility,
    GatedResponsibility as GatedResponsibility,
    Responsibility as Responsibility,
    TableResponsibility as TableResponsibility,
)
from minvae_pyro.guides.test_time.amortised import AmortisedGuide as AmortisedGuide
from minvae_pyro.guides.test_time.automatic import PyroGuide as PyroGuide
from minvae_pyro.guides.test_time.base import UtteranceGuide as UtteranceGuide
from minvae_pyro.guides.test_time.mean_field import (
    MeanFieldGuide as MeanFieldGuide,
    MixtureUtteranceGuide as MixtureUtteranceGuide,
    PatientMixtureGuide as PatientMixtureGuide,
    PointGuide as PointGuide,
)
from minvae_pyro.guides.test_time.particles import ParticleGuide as ParticleGuide
from minvae_pyro.guides.test_time.smoothed import SmoothedGuide as SmoothedGuide
from minvae_pyro.guides.vae import AudioGuide as AudioGuide, VisualGuide as VisualGuide
