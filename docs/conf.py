"""Sphinx's configuration. `make docs` builds the site, without network, into docs/_build/html."""

import logging
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from vmsp_brain.run.options.reference import keys_table, relations_list  # noqa: E402

# That there is no torchvision matters to nobody here.
logging.getLogger("speechbrain.utils.train_logger").addFilter(lambda _: False)

project = "VM-MSP for SpeechBrain"
author = "the VM-MSP for SpeechBrain authors"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx-mathjax-offline",
]
exclude_patterns = ["_build", "_templates"]
templates_path = ["_templates"]

html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_copyright = False
html_copy_source = False

default_role = "py:obj"  # `Name` in docstrings
autodoc_member_order = "bysource"
viewcode_follow_imported_members = False
autodoc_typehints = "none"  # the docstrings say them, with shapes and units

myst_enable_extensions = ["colon_fence", "dollarmath", "substitution"]
myst_fence_as_directive = ["math"]  # as GitHub writes it
myst_heading_anchors = 3
myst_substitutions = {"keys": keys_table(ROOT / "hparams"), "relations": relations_list()}
