"""Pyro guides: posteriors for training and for test time."""

from minvae_pyro.guides.audio_visual import AudioVisualGuide as AudioVisualGuide
from minvae_pyro.guides.deep_kalman_filter import RecurrentGuide as RecurrentGuide
from minvae_pyro.guides.deep_kalman_filter import StructuredGuide as StructuredGuide
from minvae_pyro.guides.encoders import CleanAudioEncoder as CleanAudioEncoder
from minvae_pyro.guides.encoders import MouthEncoder as MouthEncoder
from minvae_pyro.guides.encoders import NoisyAudioEncoder as NoisyAudioEncoder
from minvae_pyro.guides.min_vae import MixtureGuide as MixtureGuide
from minvae_pyro.guides.min_vae import SharedGuide as SharedGuide
from minvae_pyro.guides.mixture_of_vaes import TwoVAEsGuide as TwoVAEsGuide
from minvae_pyro.guides.responsibility import CollapsedResponsibility as CollapsedResponsibility
from minvae_pyro.guides.responsibility import Evidence as Evidence
from minvae_pyro.guides.responsibility import FixedResponsibility as FixedResponsibility
from minvae_pyro.guides.responsibility import GatedResponsibility as GatedResponsibility
from minvae_pyro.guides.responsibility import Responsibility as Responsibility
from minvae_pyro.guides.responsibility import TableResponsibility as TableResponsibility
from minvae_pyro.guides.test_time.amortised import AmortisedGuide as AmortisedGuide
from minvae_pyro.guides.test_time.base import UtteranceGuide as UtteranceGuide
from minvae_pyro.guides.test_time.mean_field import MeanFieldGuide as MeanFieldGuide
from minvae_pyro.guides.test_time.mean_field import MixtureUtteranceGuide as MixtureUtteranceGuide
from minvae_pyro.guides.test_time.mean_field import PatientMixtureGuide as PatientMixtureGuide
from minvae_pyro.guides.test_time.mean_field import PointGuide as PointGuide
from minvae_pyro.guides.test_time.particles import ParticleGuide as ParticleGuide
from minvae_pyro.guides.test_time.smoothed import SmoothedGuide as SmoothedGuide
from minvae_pyro.guides.vae import AudioGuide as AudioGuide
from minvae_pyro.guides.vae import VisualGuide as VisualGuide
