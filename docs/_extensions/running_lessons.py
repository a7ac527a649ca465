"""How Sphinx-Gallery runs the lessons: each as if it were the first, and with the figures that it saves as files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyro
import torch
from sphinx_gallery.scrapers import figure_rst

FOLDER = "examples-output"
"""Where a lesson saves its figures, below the folder it runs in."""


class LessonFigures:
    """Shows after each block of a lesson what the block has saved: ``NN_name.png``, and ``NN_name-*.png``."""

    def __repr__(self) -> str:
        """The same in every process, so that the configuration does not seem to have changed."""
        return type(self).__name__

    def __call__(self, block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
        """Take the figures away to the gallery.

        Args:
            block: the block that has run.
            block_vars: of the lesson; ``src_file`` is the script, ``image_path_iterator`` says where a figure goes.
            gallery_conf: of the gallery.

        Returns:
            str: reStructuredText that shows them.
        """
        script = Path(block_vars["src_file"])
        taken = []
        for figure in sorted(Path(FOLDER).glob(f"{script.stem}*.png")):
            taken.append(next(block_vars["image_path_iterator"]))
            shutil.move(figure, taken[-1])
        return figure_rst(taken, gallery_conf["src_dir"], fig_titles=script.stem.replace("_", " ")) if taken else ""


def begin(gallery_conf: dict[str, Any], name: str) -> None:
    """Put back what an earlier lesson may have changed: all lessons run in one process."""
    pyro.clear_param_store()
    pyro.set_rng_seed(0)
    torch.set_default_dtype(torch.float32)
    # small tensors, and perhaps a busy machine
    torch.set_num_threads(1)
