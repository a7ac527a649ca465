"""Configuration of the documentation: `make docs`. Nothing is fetched, neither by the build nor by the pages."""

import sys
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

from docutils import nodes
from notebooks import FIRST_CELL
from running_lessons import LessonFigures
from sphinx.application import Sphinx

import minvae_pyro

project = "minvae_pyro"
author = "the authors of minvae_pyro"
copyright = author
version = release = minvae_pyro.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "sphinxcontrib.bibtex",
    "command_help",
    "every_module",
    "folded_solutions",
    "paper_links",
    "repository_links",
]
exclude_patterns = ["_extensions", "_static", "lessons/GALLERY_HEADER.*"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
nitpicky = True

html_theme = "furo"
html_title = f"minvae_pyro {version}"
# MathJax in one file, its letters within: browsers refuse fonts of other folders where pages are opened as files.
html_static_path = [
    "_static",
    str(files("sphinx-mathjax-offline") / "static" / "mathjax" / "tex-svg.js"),
]
mathjax_path = "tex-svg.js"
html_css_files = ["mathematics.css", "pages.css"]
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 3
math_number_all = False
math_eqref_format = "({number})"
numfig = False

bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "plain"

# an extra, which the page in the browser alone needs
autodoc_mock_imports = [] if find_spec("gradio") else ["gradio"]
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"show-inheritance": True, "special-members": "__call__"}
python_maximum_signature_line_length = 100
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_attr_annotations = False
napoleon_use_rtype = False

# Libraries that are not linked to, since nothing is fetched, and what annotations call them.
nitpick_ignore_regex = [
    (
        r"py:.*",
        r"(torch|pyro|numpy|np|pandas|pd|matplotlib|lightning|scipy|av|cv2|gradio|gr|jsonargparse|rich|jinja2)(\..*)?",
    ),
    (
        r"py:.*",
        r"(collections|typing|pathlib|argparse|dataclasses|abc|fractions|inspect|random|subprocess|os|types|concurrent)(\..*)?",
    ),
    (
        r"py:.*",
        r"(TypeAliasForwardRef|Tensor|Generator|Path|Message|Dataset|Sampler|_T_co|_collate_fn_t|_worker_init_fn_t)",
    ),
    # type variables and private bases
    (r"py:.*", r"minvae_pyro\..*\.(T|Module|_\w+)"),
]

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "lessons",
    "within_subsection_order": "FileNameSortKey",
    "filename_pattern": r"/\d\d_",
    "first_notebook_cell": FIRST_CELL,
    "image_scrapers": (LessonFigures(),),
    "capture_repr": (),
    "reset_modules": ("running_lessons.begin",),
    "download_all_examples": False,
    "write_computation_times": False,
    "show_memory": False,
    "show_signature": False,
    "min_reported_time": 1e9,
    "abort_on_example_error": True,
}


def _anchor_once(app: Sphinx, document: nodes.document, name: str) -> None:
    """Take the anchor of an equation off the box that furo puts round it."""
    for box in document.findall(nodes.container):
        if "math-wrapper" in box["classes"]:
            box["ids"] = []


def setup(app: Sphinx) -> None:
    """Register what is done to the pages."""
    app.connect("doctree-resolved", _anchor_once)
