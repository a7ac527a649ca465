"""Audio-visual speech enhancement as probabilistic programs."""

from minvae_pyro.version import __version__

__all__ = ["__version__"]
