"""How Sphinx builds the site: ``make docs``.

The source directory is the repository itself, so that a link in any page means the same in the
site, on a code host and in an editor; ``include_patterns`` says which pages there are.
"""

from __future__ import annotations

import sys
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

project = "edge-genre"
author = "the edge-genre contributors"
copyright = author  # noqa: A001 - Sphinx's own name for it
version = release = installed_version("edge-genre")

extensions = ["myst_parser", "sphinx.ext.autodoc", "docstrings"]
root_doc = "docs/index"
include_patterns = [
    "docs/**.md",
    "examples/**.md",
    "firmware_notes/**.md",
    "models/**.md",
    "benchmarks/**.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "SECURITY.md",
]
# Notes are parts of the cards, which have them in full.
exclude_patterns = [".*", "build", "**/node_modules", "models/*/notes.md"]
templates_path = ["_templates"]

nitpicky = True
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
# Pages that are read on their own elsewhere, such as a model's card, begin at any level.
suppress_warnings = ["myst.header"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_type_aliases = {"ArrayLike": "ArrayLike"}
python_maximum_signature_line_length = 80
# Of a desktop's packages only names are needed here.
autodoc_mock_imports = ["flatbuffers", "tensorflow", "onnx", "tf2onnx", "onnxruntime"]
# In docstrings, `name` means a Python object of this project, private ones and others among them.
default_role = "py:obj"
nitpick_ignore_regex = [("py:.*", ".*")]

html_theme = "furo"
html_title = f"edge-genre {release}"
html_additional_pages = {"index": "to_docs.html"}
html_copy_source = False
html_show_sphinx = False
# Nothing is loaded from elsewhere: the site works without a network, and tells nobody who reads it.
html_theme_options = {"navigation_with_keys": False}


def setup(app: Any) -> dict[str, bool]:
    """Sphinx's entry point."""
    return {"parallel_read_safe": True}
