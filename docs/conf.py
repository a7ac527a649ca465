"""Configuration of the documentation: `make docs`. Nothing is fetched, neither by the build nor by the pages."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

from running_lessons import LessonFigures

import minvae_pyro

project = "minvae_pyro"
author = "the authors of minvae_pyro"
copyright = author
version = release = minvae_pyro.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "command_help",
    "every_module",
    "mathematics",
    "repository_links",
]
exclude_patterns = ["_extensions", "_static", "lessons/GALLERY_HEADER.*"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
nitpicky = True

html_theme = "furo"
html_title = f"minvae_pyro {version}"
html_static_path = ["_static"]
html_css_files = ["mathematics.css"]
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

autodoc_preserve_defaults = True
# aliases that are written as text: told by their name, not by what they stand for
autodoc_type_aliases = {
    name: f"minvae_pyro.{module}.{name}"
    for module, names in {"recording": ("FilePath", "Source", "Video"), "streaming": ("Samples", "Block")}.items()
    for name in names
}
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
    (r"py:.*", r"(torch|pyro|numpy|np|pandas|pd|matplotlib|lightning|scipy|av|cv2|jsonargparse|rich|jinja2)(\..*)?"),
    (r"py:.*", r"(collections|typing|pathlib|argparse|dataclasses|abc|fractions|random|subprocess|os)\..*"),
    (r"py:.*", r"(Tensor|Generator|Path|Message|Dataset|Sampler|_T_co|_collate_fn_t|_worker_init_fn_t)"),
    # type variables and private bases
    (r"py:.*", r"minvae_pyro\..*\.(T|Module|_\w+)"),
]

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "lessons",
    "within_subsection_order": "FileNameSortKey",
    "filename_pattern": r"/\d\d_",
    "ignore_pattern": r"(^|/)_",
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
