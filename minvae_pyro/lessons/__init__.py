"""What the lessons in examples/ share and none is about: figures and sound where a notebook can show them, talkers."""

from minvae_pyro.lessons.notebook import play, show
from minvae_pyro.lessons.recordings import grid_clip

__all__ = ["grid_clip", "play", "show"]
