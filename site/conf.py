"""How Sphinx renders the site from what `pages.site` lays out; notebooks are shown as they were executed."""

import os
import sys

sys.path.insert(0, os.environ["SITE_CODE"])

from polysemanticity.pages import reference

project = "Polysemanticity notebooks"
author = "the contributors"
copyright = "the contributors, MIT licence"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.mathjax"]
exclude_patterns = ["parts"]

nb_execution_mode = "off"
nb_render_markdown_format = "myst"
nb_output_stderr = "remove"
nb_ipywidgets_js = {}
myst_heading_anchors = 3  # pages link to sections of notebooks
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "attrs_inline", "deflist"]
smartquotes = False

mathjax_path = "tex-svg-full.js"
mathjax4_config = mathjax3_config = {"options": {"enableMenu": False}}

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
maximum_signature_line_length = 80
toc_object_entries = False

html_theme = "sphinx_book_theme"
html_title = project
html_context = {"default_mode": "light"}
html_theme_options = {"show_navbar_depth": 1, "use_download_button": False, "use_fullscreen_button": False}
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["claims.js"]
html_favicon = "_static/favicon.svg"
html_show_sourcelink = html_copy_source = False


def setup(app):
    """Docstrings are plain text with backticks and dollars."""
    app.connect("autodoc-process-docstring", reference.process)
