"""Figures for a two-column page, drawn with matplotlib: only this package knows it."""

import importlib.util

if importlib.util.find_spec("matplotlib") is None:
    raise ModuleNotFoundError(
        "figures need matplotlib, which is not installed: pip install 'jaxevo[figures]'", name="matplotlib"
    )
