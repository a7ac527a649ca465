"""Figures: recordings and what enhancement did to them, trainings, noises, latent spaces.

Every function returns a plain `matplotlib.figure.Figure`, to be saved by `save_figure`, without pyplot and its global
state: figures can be drawn in threads, on machines without a screen, and are freed like any other object. Colours are
safe for colour-blind readers (Okabe & Ito, 2008) and in grey print.
"""

from minvae_pyro.plots.latent import latent_figure as latent_figure
from minvae_pyro.plots.noise import noise_figure as noise_figure
from minvae_pyro.plots.objectives import objective_figure as objective_figure
from minvae_pyro.plots.recordings import enhancement_figure as enhancement_figure
from minvae_pyro.plots.responsibilities import responsibility_figure as responsibility_figure
from minvae_pyro.plots.spectrograms import gain_figure as gain_figure, spectrogram_figure as spectrogram_figure
from minvae_pyro.plots.style import save_figure as save_figure
from minvae_pyro.plots.training import training_figure as training_figure
