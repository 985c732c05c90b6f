"""Networks as SVG."""

from xml.etree import ElementTree

import pytest
from helpers.births import SPACE, task_of
from helpers.genotypes import ONE_CONVOLUTION

from jaxevo.reports.svg import network_svg
from jaxevo.search.space import Box, Drawing

SVG = "{http://www.w3.org/2000/svg}"


def boxes(number: int) -> tuple[Box, ...]:
    return tuple(Box(f"layer {place}", "", (8, 8, place + 1)) for place in range(number))


def parsed(drawing: Drawing, title: str = "a network") -> ElementTree.Element:
    return ElementTree.fromstring(network_svg(drawing, title))


def test_a_network_has_a_box_for_each_layer_with_its_shape_and_a_description():
    drawing = SPACE.drawing(ONE_CONVOLUTION, task_of((8, 8, 1)))
    root = parsed(drawing)
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert texts[0] == "a network"
    assert texts[1:3] == ["Input", "8 x 8 x 1"]
    assert texts[-1] == drawing.caption
    assert len(root.findall(f"{SVG}g")) == len(drawing.boxes)
    assert len(root.findall(f"{SVG}path[@class='edge']")) == len(drawing.boxes) - 1
    names = {element.get("id"): element.text for element in root if element.get("id")}
    assert root.get("aria-labelledby").split() == list(names)
    assert all(box.title in names["description"] for box in drawing.boxes)


def test_text_from_users_is_text():
    hostile = "</text><script>alert(1)</script> & \x1b[2J"
    root = parsed(Drawing((Box(hostile, hostile, (1,)), Box("", hostile, (1,))), ((0, 1),), hostile), hostile)
    assert not list(root.iter(f"{SVG}script"))
    assert root.find(f"{SVG}title").text == hostile.replace("\x1b", "\\x1b")


def test_both_themes_are_drawn_without_anything_from_outside():
    text = network_svg(Drawing(boxes(2), ((0, 1),), ""), "a network")
    style = parsed(Drawing(boxes(2), ((0, 1),), "")).find(f"{SVG}style").text
    assert "@media (prefers-color-scheme: dark)" in style
    assert text.count("http") == 1  # The name space.


@pytest.mark.parametrize(
    ("skips", "tracks"),
    [((), 0), (((0, 2),), 1), (((0, 2), (2, 4)), 1), (((0, 2), (1, 3)), 2), (((0, 4), (1, 3), (0, 2)), 3)],
)
def test_skips_that_overlap_lie_beside_each_other(skips, tracks):
    backbone = tuple((place, place + 1) for place in range(4))
    arcs = parsed(Drawing(boxes(5), (*backbone, *skips), "")).findall(f"{SVG}path[@class='skip']")
    assert len(arcs) == len(skips)
    assert len({arc.get("d").split("H")[1].split("q")[0] for arc in arcs}) == tracks


def test_boxes_that_are_not_joined_have_no_line_between_them():
    root = parsed(Drawing(boxes(3), ((0, 1), (0, 2)), ""))
    assert len(root.findall(f"{SVG}path[@class='edge']")) == 1
