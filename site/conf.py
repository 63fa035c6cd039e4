"""How Sphinx renders the site from what `pages.site` lays out; notebooks are shown as they were executed."""

import os
import sys

sys.path.insert(0, os.environ["SITE_CODE"])

from polysemanticity.pages import reference, site

project = "Polysemanticity notebooks"
author = "the contributors"
copyright = "the contributors, MIT licence"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.mathjax"]
exclude_patterns = ["parts"]

nb_execution_mode = "off"
nb_render_markdown_format = "myst"
nb_output_stderr = "remove"
nb_code_prompt_show, nb_code_prompt_hide = "code", "hide the code"
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
html_context = {"default_mode": "auto"}
html_theme_options = {
    "show_navbar_depth": 1,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "navbar_persistent": [],  # the search of the sidebar is enough
    "extra_footer": os.environ["SITE_VERSION"],
}
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["site.js", "claims.js"]
html_favicon = "_static/favicon.svg"
html_show_sourcelink = html_copy_source = False


def setup(app):
    """Docstrings are plain text with backticks and dollars; only pages with formulas have what typesets them."""
    app.connect("autodoc-process-docstring", reference.process)
    app.connect("builder-inited", lambda app: app.set_html_assets_policy("per_page"))
    app.connect("html-page-context", site.finish)
