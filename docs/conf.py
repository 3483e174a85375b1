"""Sphinx: pages in MyST, the reference from docstrings."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from pydantic import BaseModel

import pyro_vrnn

project = "pyro_vrnn"
author = "The pyro_vrnn developers"
copyright = f"{author}; Apache-2.0"
version = release = pyro_vrnn.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "live",
]
exclude_patterns = ["_build", "examples"]
default_role = "code"  # single backquotes in docstrings are code

html_theme = "furo"
html_title = f"pyro_vrnn {release}"

myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
myst_dmath_double_inline = True

napoleon_numpy_docstring = False
napoleon_use_ivar = False
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True, "exclude-members": "model_config"}
autodoc_type_aliases = {"Tensor": "torch.Tensor"}

# Nothing is fetched while building, so names of other libraries stay plain; every name of ours must resolve.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(torch|pyro|numpy|np|pydantic|annotated_types|click|rich|mlflow|matplotlib|nn)\b.*"),
    (r"py:.*", r"(collections|contextlib|pathlib|typing|types|enum|datetime|subprocess)\b.*"),
    # Imported for type checkers alone, or cut in pieces.
    (r"py:class", r"Tensor|MlflowClient|DataFrame|Figure|Finding|(list|tuple)\[.*"),
    (r"py:class", r"pyro_vrnn\..*\._\w+"),  # private bases
    # Type variables.
    (r"py:class", r"pyro_vrnn\.(commands\.options\.Function|data\.normaliser\.Values|training\.world\.Anything)"),
    (r"py:class", r"pyro_vrnn\.training\.ahead\.Item"),
    (r"py:class", r"pyro_vrnn\.commands\.subject\.Part"),
    (r"py:(class|obj)", r"pyro_vrnn\.data\.prepared\.store\.T"),
    (r"py:attr", "HEADINGS"),  # of the table that is printed
]


def one_sentence(app, what, name, obj, options, lines):
    """Keeps napoleon from reading "Widths of a step: phi_x" as a type and its description, by an earlier line break."""
    if what in ("attribute", "data", "property") and lines and ": " in lines[0]:
        before, _, after = lines[0].partition(": ")
        first, _, last = before.rpartition(" ")
        lines[0:1] = [first, f"{last}: {after}"] if first else [f"{before} – {after}"]


def not_twice(app, what, name, obj, skip, options):
    """Fields of named tuples are described by their class's docstring."""
    return True if type(obj).__name__ == "_tuplegetter" else None


def plain_options(app, what, name, obj, options, signature, returns):
    """Options are described by the page on the configuration; their constructor says it all again, unreadably."""
    if what == "class" and issubclass(obj, BaseModel):
        return "(**options)", None
    return None


def setup(app):
    app.connect("autodoc-process-docstring", one_sentence, priority=400)
    app.connect("autodoc-skip-member", not_twice)
    app.connect("autodoc-process-signature", plain_options)
