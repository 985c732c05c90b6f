"""Draw networks as SVG, in the style of figure 1 of Real et al. 2017: boxes below each other, skips beside them."""

from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

from jaxevo.reports.terminal import printable
from jaxevo.search.space import Drawing

_WIDTH, _PITCH, _HEIGHT = 300, 31, 23
_MARGIN, _TRACK, _HEADING = 10, 9, 26
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


def network_svg(drawing: Drawing, title: str) -> str:
    """Returns a network as a standalone SVG document, the input at the top, for light and dark themes.

    Args:
        drawing: the network.
        title: heading of the drawing.
    """
    skips = skips_in_tracks(drawing.edges)
    joined = {source for source, target in drawing.edges if target == source + 1}
    tracks = 1 + max((skip.track for skip in skips), default=-1)
    width = 2 * _MARGIN + _WIDTH + (_TRACK * tracks + 12 if skips else 0)
    below = _HEADING + _PITCH * len(drawing.boxes)
    height = below + (22 if drawing.caption else _MARGIN)
    shapes = [f'<text x="{_MARGIN}" y="18" font-size="13" font-weight="600">{_text(title)}</text>']
    for place, box in enumerate(drawing.boxes):
        shapes += _edge(place) if place in joined else []
        shapes += _box(place, box.title, box.detail or box.label or box.title, box.shape, box.shaded)
    for skip in skips:
        shapes += _arc(skip)
    if drawing.caption:
        caption = _text(drawing.caption)
        shapes.append(f'<text class="soft" x="{_MARGIN}" y="{below + 10}" font-size="11">{caption}</text>')
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


def skips_in_tracks(edges: Sequence[tuple[int, int]]) -> list[Skip]:
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


def _middle(place: int) -> float:
    return _HEADING + _PITCH * place + _PITCH / 2


def _edge(place: int) -> list[str]:
    x, top, bottom = _MARGIN + _WIDTH / 2, _middle(place) + _HEIGHT / 2, _middle(place + 1) - _HEIGHT / 2
    return [f'<path class="edge" d="M{x:g} {top:g}V{bottom:g}" fill="none" stroke="#5c656e"/>']


def _box(place: int, title: str, detail: str, shape: tuple[int, ...], shaded: bool) -> list[str]:
    y, size = _middle(place), " x ".join(map(str, shape))
    kind, fill = ("shaded", "#e4edf9") if shaded else ("box", "#ffffff")
    room = _CHARACTERS - len(size)
    line = detail if len(detail) <= room else f"{detail[: room - 1]}\u2026"
    rectangle = f'x="{_MARGIN}" y="{y - _HEIGHT / 2:g}" width="{_WIDTH}" height="{_HEIGHT}" rx="3.5"'
    left, right, base = _MARGIN + 9, _MARGIN + _WIDTH - 9, f"{y + 4:g}"
    return [
        f"<g><title>{_text(f'{title}, {detail}' if detail != title else title)}</title>",
        f'<rect class="{kind}" {rectangle} fill="{fill}" stroke="#b9bfc4"/>',
        f'<text x="{left}" y="{base}" font-size="11.5">{_text(line)}</text>',
        f'<text class="soft" x="{right}" y="{base}" font-size="11" text-anchor="end">{size}</text></g>',
    ]


def _arc(skip: Skip) -> list[str]:
    edge = _MARGIN + _WIDTH
    reach = edge + 10 + _TRACK * skip.track
    top, bottom = _middle(skip.source), _middle(skip.target)
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
