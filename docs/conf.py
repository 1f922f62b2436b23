# ruff: noqa: INP001 - Sphinx reads it, nothing imports it
"""Settings of the site: ``make docs`` builds it into ``build/docs``."""

from __future__ import annotations

import importlib.metadata

project = "benchbench"
author = "the benchbench authors"
release = importlib.metadata.version("benchbench")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.intersphinx"]
exclude_patterns = ["images"]
myst_url_schemes = ["http", "https", "mailto"]
html_theme = "furo"
html_title = "benchbench"
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
add_module_names = False
python_display_short_literal_types = True
