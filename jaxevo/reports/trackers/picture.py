"""Draw networks as images for tools that show no SVG."""

from PIL import Image, ImageDraw, ImageFont

from jaxevo.reports.svg import HEIGHT, MARGIN, PITCH, TRACK, WIDTH, Skip, layout, line_and_size, middle
from jaxevo.reports.terminal import printable
from jaxevo.search.space import Box, Drawing

_SCALE = 2
_PAPER, _INK, _SOFT, _BORDER = "#fdfdfb", "#1c2126", "#5c656e", "#b9bfc4"


class _Canvas:
    """An image whose lengths are those of the SVG."""

    def __init__(self, width: int, height: int) -> None:
        self.image = Image.new("RGB", (_SCALE * width, _SCALE * height), _PAPER)
        self._draw = ImageDraw.Draw(self.image)

    def text(self, x: float, y: float, text: str, size: float, colour: str = _INK, anchor: str = "lm") -> None:
        font = ImageFont.load_default(_SCALE * size)
        self._draw.text((_SCALE * x, _SCALE * y), printable(text), colour, font, anchor)

    def box(self, y: float, fill: str) -> None:
        left, top = _SCALE * MARGIN, _SCALE * (y - HEIGHT / 2)
        corners = (left, top, left + _SCALE * WIDTH, top + _SCALE * HEIGHT)
        self._draw.rounded_rectangle(corners, 3.5 * _SCALE, fill, _BORDER)

    def line(self, *points: tuple[float, float]) -> None:
        self._draw.line([(_SCALE * x, _SCALE * y) for x, y in points], _SOFT, _SCALE)


def network_image(drawing: Drawing, title: str) -> Image.Image:
    """Returns a network as an RGB image that looks as its SVG does in a light theme.

    Args:
        drawing: the network.
        title: heading of the drawing.
    """
    places = layout(drawing)
    canvas = _Canvas(places.width, places.height)
    canvas.text(MARGIN, 14, title, 13)
    for place, box in enumerate(drawing.boxes):
        if place in places.joined:
            top = middle(place) + HEIGHT / 2
            canvas.line((MARGIN + WIDTH / 2, top), (MARGIN + WIDTH / 2, top + PITCH - HEIGHT))
        _box(canvas, place, box)
    for skip in places.skips:
        _skip(canvas, skip)
    if drawing.caption:
        canvas.text(MARGIN, places.below + 7, drawing.caption, 11, _SOFT)
    return canvas.image


def _box(canvas: _Canvas, place: int, box: Box) -> None:
    line, size = line_and_size(box)
    canvas.box(middle(place), "#e4edf9" if box.shaded else "#ffffff")
    canvas.text(MARGIN + 9, middle(place), line, 11.5)
    canvas.text(MARGIN + WIDTH - 9, middle(place), size, 11, _SOFT, "rm")


def _skip(canvas: _Canvas, skip: Skip) -> None:
    edge, top, bottom = MARGIN + WIDTH, middle(skip.source), middle(skip.target)
    reach = edge + 10 + TRACK * skip.track
    canvas.line((edge, top), (reach, top), (reach, bottom), (edge, bottom))
    canvas.line((edge + 5, bottom - 3), (edge, bottom), (edge + 5, bottom + 3))
