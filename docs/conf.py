"""Configuration of the documentation site; `make docs` builds it."""

import os
from typing import Any, NewType

import numpy.typing
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import jaxevo

# Signatures would show the dozen types that it stands for. Modules with signatures must be imported later.
numpy.typing.ArrayLike = NewType("ArrayLike", object)

project = "jaxevo"
author = "the jaxevo authors"
project_copyright = "the jaxevo authors"
version = release = jaxevo.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

# Notebooks are stored with the outputs of a run, which `make notebooks` repeats.
nb_execution_mode = "off"
default_role = "code"
myst_heading_anchors = 3
highlight_language = "none"

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_attr_annotations = False  # The signature has them.
python_use_unqualified_type_names = True
maximum_signature_line_length = 88
# Other libraries' pages are not asked for, so that a build needs no network.
nitpick_ignore_regex = [
    (r"py:.*", r"(?!jaxevo).*"),
    (r"py:class", r"jaxevo\.reports\.arguments\.\w+"),  # The fields of Settings, Limits and Execution.
    (r"py:class", r"jaxevo\.search\.(space\.G|ordered\.Ordered)"),
    (r"py:class", r"jaxevo\.(storage\.machine\.Machine|storage\.warm_start\.WarmStart|doors\.opening\.Door)"),
    (r"py:class", r"jaxevo\.data\.pixels\.Pixels"),
    (r"py:class", r"jaxevo\.spaces\.large_scale\.(layer_types\.operation\.Operation|genotype\.Activation)"),
]

html_theme = "sphinx_book_theme"
html_title = "jaxevo"
html_use_index = False
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_theme_options = {
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "navigation_with_keys": False,
}


class Help(SphinxDirective):
    """The help of a command, as `jaxevo COMMAND --help` prints it."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Returns the help as a literal block."""
        from jaxevo.cli.commands import PrintCommand
        from jaxevo.cli.parse import parse

        os.environ["COLUMNS"] = "92"
        command = parse([*self.arguments, "--help"])
        assert isinstance(command, PrintCommand)
        block = nodes.literal_block(command.text, command.text)
        block["language"] = "none"
        return [block]


def keep_colons(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Puts an empty comment before the text of a property; napoleon would take what is before a colon for its type."""
    if what in ("property", "attribute", "data"):
        lines[:0] = ["..", ""]


def setup(app: Sphinx) -> None:
    """Adds the directive, and a step before napoleon's, whose priority is 500."""
    app.add_directive("jaxevo-help", Help)
    app.connect("autodoc-process-docstring", keep_colons, priority=400)
