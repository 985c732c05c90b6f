"""Draw a network as boxes below each other, with skips beside them, as in figure 1 of Real et al. 2017."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from jaxevo.reports.figures.style import COLUMN, INK, SOFT, new_figure, style
from jaxevo.reports.svg import layout
from jaxevo.search.space import Box, Drawing

_PITCH, _BOX = 0.205, 0.135
"""Most inches from box to box, and the height of a box of such a pitch."""
_LETTER = 0.62
"""Width of a letter over its size."""
_LEAST_SIZE = 3.5
"""Letters smaller than this, in points, are left out."""
_TRACK = 0.055
_SHADED, _PLAIN = "#dbe8f5", "#ffffff"


def network(drawing: Drawing, title: str = "") -> Figure:
    """Returns a figure of one network, half a column wide, the input at the top.

    Args:
        drawing: the network, such as `run.drawing(17)` or `run.best.drawing`.
        title: heading.
    """
    with style():
        height = _PITCH * len(drawing.boxes) + (0.25 if title else 0.05)
        figure = new_figure(COLUMN / 2, height)
        axes = figure.subplots()
        axes.set_title(title)
        draw_network(axes, drawing, COLUMN / 2, _PITCH * len(drawing.boxes))
        return figure


def draw_network(axes: Axes, drawing: Drawing, width: float, height: float) -> None:
    """Draws a network into axes of this size in inches, at most as large as its labels need."""
    pitch = min(_PITCH, height / len(drawing.boxes))
    skips, joined, tracks, *_ = layout(drawing)
    right = width - (0.03 + _TRACK * tracks + 0.02 if skips else 0.01)
    size = _letter_size(drawing, right, pitch)
    box = _BOX / _PITCH * pitch
    for place, one in enumerate(drawing.boxes):
        middle = -pitch * (place + 0.5)
        _draw_box(axes, one, (0.01, middle - box / 2, right - 0.01, box), size)
        if place in joined:
            below = middle - pitch + box / 2
            _arrow(axes, [(right / 2, middle - box / 2), (right / 2, below)], pitch)
    for skip in skips:
        top, bottom = (-pitch * (place + 0.5) for place in (skip.source, skip.target))
        reach = right + 0.04 + _TRACK * skip.track
        axes.plot([right, reach, reach], [top, top, bottom], color=SOFT, linewidth=0.6, clip_on=False)
        _arrow(axes, [(reach, bottom), (right, bottom)], pitch)
    axes.set_xlim(0, width)
    axes.set_ylim(-height, 0)
    axes.set_axis_off()


def _letter_size(drawing: Drawing, width: float, pitch: float) -> float:
    """Returns the size of letters, in points, with which every label fits into its box; 0 if that is too small."""
    longest = max(len(_label(box)) for box in drawing.boxes)
    size = min(6.0, 72 * _BOX / _PITCH * pitch * 0.72, 72 * (width - 0.06) / (_LETTER * longest))
    return size if size >= _LEAST_SIZE else 0.0


def _label(box: Box) -> str:
    return box.label or box.title


def _draw_box(axes: Axes, box: Box, place: tuple[float, float, float, float], size: float) -> None:
    x, y, width, height = place
    rounding = f"round,pad=0,rounding_size={min(0.025, height / 4):g}"
    fill = _SHADED if box.shaded else _PLAIN
    axes.add_patch(
        FancyBboxPatch(
            (x, y), width, height, boxstyle=rounding, facecolor=fill, edgecolor=SOFT, linewidth=0.5, clip_on=False
        )
    )
    if size:
        middle = (x + width / 2, y + height / 2)
        axes.text(*middle, _label(box), fontsize=size, color=INK, ha="center", va="center_baseline", clip_on=False)


def _arrow(axes: Axes, ends: list[tuple[float, float]], pitch: float) -> None:
    axes.add_patch(
        FancyArrowPatch(
            *ends,
            arrowstyle="-|>",
            mutation_scale=min(3.5, 18 * pitch),
            shrinkA=0,
            shrinkB=0,
            linewidth=0.6,
            color=SOFT,
            clip_on=False,
        )
    )
