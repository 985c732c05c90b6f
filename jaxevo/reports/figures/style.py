"""The look of all figures: widths, fonts, colours; and how they are shown and written."""

import io
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

COLUMN = 3.3
"""Width of a column, in inches."""
PAGE = 6.9
"""Width of both columns, in inches."""

INK, SOFT, FAINT, GRID = "#1c2126", "#5c656e", "#a9b1b8", "#e7e9eb"
ALIVE, WINNER = "#0072b2", "#d55e00"
# Okabe and Ito's colours, which people with any colour vision can tell apart; also told apart by their dashes.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.6)), (0, (4, 1.4, 1, 1.4)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5, 1, 1.5)))

STYLE: dict[str, Any] = {
    # Part of matplotlib, so that a figure has the same letters everywhere.
    "font.family": "DejaVu Sans",
    "mathtext.fontset": "dejavusans",
    "font.size": 7.5,
    "axes.labelsize": 7.5,
    "axes.titlesize": 8.0,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "legend.fontsize": 7.0,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": SOFT,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    # Letters as text in PDF, and as shapes in SVG: the fonts of a viewer then do not matter.
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    # Names of parts are else made of a random number.
    "svg.hashsalt": "jaxevo",
}
"""Settings of matplotlib while a figure is drawn and written."""

_FORMATS: dict[str, dict[str, Any]] = {
    "svg": {"metadata": {"Date": None}},
    "pdf": {"metadata": {"CreationDate": None, "ModDate": None}},
    "png": {"dpi": 300, "metadata": {"Software": None}},
}


class ShownFigure(Figure):
    """A figure that notebooks show as SVG."""

    def _repr_svg_(self) -> str:
        text = io.StringIO()
        _write(self, text, "svg")
        return text.getvalue()


def new_figure(width: float, height: float) -> Figure:
    """Returns an empty figure of this size in inches, laid out without overlaps."""
    return ShownFigure(figsize=(width, height), layout="constrained")


def style() -> Any:
    """Returns a context in which matplotlib draws in this style; other figures are not affected."""
    defaults = {name: value for name, value in mpl.rcParamsDefault.items() if "backend" not in name}
    settings: Any = {**defaults, **STYLE}
    return mpl.rc_context(settings)


def save(figure: Figure, path: str | Path) -> Path:
    """Writes a figure without a date, so that an equal figure gives an equal file, and returns the path.

    Args:
        figure: the figure.
        path: the file, which ends in `.svg`, `.pdf` or `.png`.

    Raises:
        ValueError: if the ending is another one, or the file cannot be written.
    """
    path = Path(path)
    kind = path.suffix.removeprefix(".").lower()
    if kind not in _FORMATS:
        raise ValueError(f"the file is {str(path)!r}, but must end in {', '.join(f'.{one}' for one in _FORMATS)}")
    content = io.BytesIO()
    _write(figure, content, kind)
    try:
        path.write_bytes(content.getvalue())
    except OSError as error:
        raise ValueError(f"{path} cannot be written ({error.strerror}): choose another file or folder") from error
    return path


def _write(figure: Figure, file: Any, kind: str) -> None:
    with style():
        figure.savefig(file, format=kind, **_FORMATS[kind])


def percent_axis(axes: Axes) -> None:
    """Labels the vertical axis, whose values are shares, in percent."""
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g}"))
