"""Draw networks as SVG, in the style of figure 1 of Real et al. 2017: boxes below each other, skips beside them."""

from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

from jaxevo.reports.terminal import printable
from jaxevo.search.space import Box, Drawing

WIDTH, PITCH, HEIGHT = 300, 31, 23
"""Width of a box, distance of two boxes, and height of a box, in pixels."""
MARGIN, TRACK, HEADING = 10, 9, 26
"""Pixels around the drawing, between two tracks of skips, and above the first box."""
_CHARACTERS = 44

# Attributes of the shapes name the colours of the light theme for viewers that know no style sheets.
_STYLE = """\
:root { color-scheme: light dark; }
.paper { fill: #fdfdfb; }
.box { fill: #ffffff; stroke: #b9bfc4; }
.shaded { fill: #e4edf9; stroke: #b9bfc4; }
.edge, .skip { fill: none; stroke: #5c656e; }
.head { fill: #5c656e; }
text { fill: #1c2126; font-family: system-ui, sans-serif; }
.soft { fill: #5c656e; }
@media (prefers-color-scheme: dark) {
.paper { fill: #14171b; }
.box { fill: #1a1e23; stroke: #48515a; }
.shaded { fill: #1d2f47; stroke: #48515a; }
.edge, .skip { stroke: #9aa4ad; }
.head { fill: #9aa4ad; }
text { fill: #e7e9ea; }
.soft { fill: #9aa4ad; }
}
"""


class Skip(NamedTuple):
    """An edge of a drawing that skips boxes.

    Attributes:
        source: place of the box that it leaves.
        target: place of the box that it enters.
        track: number of the vertical line on which it is drawn, from 0 beside the boxes.
    """

    source: int
    target: int
    track: int


class Layout(NamedTuple):
    """The places of a drawing's parts.

    Attributes:
        skips: edges that skip boxes.
        joined: boxes with an edge to the next one.
        tracks: number of tracks that the skips take.
        width: of the drawing, in pixels.
        height: of the drawing, in pixels.
        below: vertical place below the last box, in pixels.
    """

    skips: list[Skip]
    joined: set[int]
    tracks: int
    width: int
    height: int
    below: int


def layout(drawing: Drawing) -> Layout:
    """Returns the layout of a network."""
    skips = _in_tracks(drawing.edges)
    joined = {source for source, target in drawing.edges if target == source + 1}
    tracks = 1 + max((skip.track for skip in skips), default=-1)
    width = 2 * MARGIN + WIDTH + (TRACK * tracks + 12 if skips else 0)
    below = HEADING + PITCH * len(drawing.boxes)
    return Layout(skips, joined, tracks, width, below + (22 if drawing.caption else MARGIN), below)


def network_svg(drawing: Drawing, title: str) -> str:
    """Returns a network as a standalone SVG document, the input at the top, for light and dark themes.

    Args:
        drawing: the network.
        title: heading of the drawing.
    """
    skips, joined, _, width, height, below = layout(drawing)
    shapes = [f'<text x="{MARGIN}" y="18" font-size="13" font-weight="600">{_text(title)}</text>']
    for place, box in enumerate(drawing.boxes):
        shapes += _edge(place) if place in joined else []
        shapes += _box(place, box)
    for skip in skips:
        shapes += _arc(skip)
    if drawing.caption:
        caption = _text(drawing.caption)
        shapes.append(f'<text class="soft" x="{MARGIN}" y="{below + 10}" font-size="11">{caption}</text>')
    body = "\n".join(shapes)
    return f"""\
<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" \
aria-labelledby="title description">
<title id="title">{_text(title)}</title>
<desc id="description">{_text(_in_words(drawing))}</desc>
<style>
{_STYLE}</style>
<rect class="paper" width="{width}" height="{height}" fill="#fdfdfb"/>
{body}
</svg>
"""


def _in_tracks(edges: Sequence[tuple[int, int]]) -> list[Skip]:
    """Returns the skips among edges, each with a track beside the boxes, the shortest first; no two overlap."""
    tracks: list[list[tuple[int, int]]] = []
    skips = []
    leaping = [(source, target) for source, target in edges if target > source + 1]
    for source, target in sorted(leaping, key=lambda edge: (edge[1] - edge[0], edge)):
        free = (
            number
            for number, taken in enumerate(tracks)
            if all(target <= begin or source >= end for begin, end in taken)
        )
        track = next(free, len(tracks))
        if track == len(tracks):
            tracks.append([])
        tracks[track].append((source, target))
        skips.append(Skip(source, target, track))
    return skips


def middle(place: int) -> float:
    """Returns the vertical place of a box's middle, in pixels."""
    return HEADING + PITCH * place + PITCH / 2


def _edge(place: int) -> list[str]:
    x, top, bottom = MARGIN + WIDTH / 2, middle(place) + HEIGHT / 2, middle(place + 1) - HEIGHT / 2
    return [f'<path class="edge" d="M{x:g} {top:g}V{bottom:g}" fill="none" stroke="#5c656e"/>']


def line_and_size(box: Box) -> tuple[str, str]:
    """Returns the text of a box, cut to its width, and the shape of its output."""
    detail, size = box.detail or box.label or box.title, " x ".join(map(str, box.shape))
    room = _CHARACTERS - len(size)
    return detail if len(detail) <= room else f"{detail[: room - 1]}\u2026", size


def _box(place: int, box: Box) -> list[str]:
    y, title, detail = middle(place), box.title, box.detail or box.label or box.title
    line, size = line_and_size(box)
    kind, fill = ("shaded", "#e4edf9") if box.shaded else ("box", "#ffffff")
    rectangle = f'x="{MARGIN}" y="{y - HEIGHT / 2:g}" width="{WIDTH}" height="{HEIGHT}" rx="3.5"'
    left, right, base = MARGIN + 9, MARGIN + WIDTH - 9, f"{y + 4:g}"
    return [
        f"<g><title>{_text(f'{title}, {detail}' if detail != title else title)}</title>",
        f'<rect class="{kind}" {rectangle} fill="{fill}" stroke="#b9bfc4"/>',
        f'<text x="{left}" y="{base}" font-size="11.5">{_text(line)}</text>',
        f'<text class="soft" x="{right}" y="{base}" font-size="11" text-anchor="end">{size}</text></g>',
    ]


def _arc(skip: Skip) -> list[str]:
    edge = MARGIN + WIDTH
    reach = edge + 10 + TRACK * skip.track
    top, bottom = middle(skip.source), middle(skip.target)
    path = f"M{edge} {top:g}H{reach - 5}q5 0 5 5V{bottom - 5:g}q0 5 -5 5H{edge + 4}"
    return [
        f'<path class="skip" d="{path}" fill="none" stroke="#5c656e"/>',
        f'<path class="head" d="M{edge} {bottom:g}l5 -2.6v5.2z" fill="#5c656e"/>',
    ]


def _in_words(drawing: Drawing) -> str:
    boxes = []
    for title, detail, shape, *_ in drawing.boxes:
        size = " x ".join(map(str, shape))
        boxes.append(", ".join(filter(None, [title, detail, size])))
    skips = sum(target > source + 1 for source, target in drawing.edges)
    return f"{'; '.join(boxes)}. Skips: {skips}."


def _text(text: str) -> str:
    """Returns a text as XML, which has no control characters."""
    return escape(printable(text).replace("\n", " "))
