"""Configuration of the documentation site; `make docs` builds it."""

import jaxevo

project = "jaxevo"
author = "the jaxevo authors"
project_copyright = "the jaxevo authors"
version = release = jaxevo.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "notebooks/.ipynb_checkpoints"]

# Notebooks are stored with the outputs of a run, which the tests repeat.
nb_execution_mode = "off"
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
# "shell" would read `<` and `|` of usage lines; blocks without a language are commands.
highlight_language = "none"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
python_use_unqualified_type_names = True
maximum_signature_line_length = 88

html_theme = "sphinx_book_theme"
html_title = "jaxevo"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_theme_options = {
    "show_toc_level": 2,
    "home_page_in_toc": False,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "navigation_with_keys": False,
}
