"""Sphinx: `make docs` writes docs/_build/html."""

from importlib.metadata import version as installed

project = "tinyqueue"
author = "The tinyqueue authors"
release = version = installed("tinyqueue")

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"tinyqueue {release}"
