"""The figures of a two-column page, from histories."""

import io
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas
import pytest

pytest.importorskip("matplotlib", reason="needs the extra figures")

from matplotlib.figure import Figure

from jaxevo import figures
from jaxevo.search.space import Box, Drawing

COLUMN, PAGE = 3.3, 6.9


def history(*accuracies: float, failed: tuple[int, ...] = (), flops: float = 1e9) -> pandas.DataFrame:
    """Returns the history of a run in which each individual is the child of the one before it."""
    number = len(accuracies)
    return pandas.DataFrame(
        {
            "id": range(number),
            "event": range(1, number + 1),
            "parent_id": pandas.array([None, *range(number - 1)], "Int64"),
            "fitness": accuracies,
            "validation_accuracy": accuracies,
            "test_accuracy": [None if place in failed else one - 0.1 for place, one in enumerate(accuracies)],
            "failure": ["not finite" if place in failed else None for place in range(number)],
            "death": pandas.array([place + 3 if place < 2 else None for place in range(number)], "Int64"),
            "virtual_seconds": np.arange(number) * 10.0,
            "flops": [flops] * number,
        }
    )


def drawing(individual_id: int) -> Drawing:
    """Returns a network that grows by a layer every second individual, with a skip."""
    layers = [Box(f"layer {place}", "", (8, 8, 4), "C+BN+R", True) for place in range(individual_id // 2)]
    boxes = (Box("Input", "", (8, 8, 1)), *layers, Box("Global Pool", "", (4,)))
    edges = [(place, place + 1) for place in range(len(boxes) - 1)]
    return Drawing(boxes, tuple(edges + [(0, 2)] * (len(boxes) > 2)), "")


def texts(figure: Figure) -> list[str]:
    return [one.get_text() for one in figure.findobj(lambda artist: hasattr(artist, "get_text")) if one.get_text()]


def points(axes) -> list[tuple[float, float]]:
    return sorted({tuple(point) for dots in axes.collections for point in np.asarray(dots.get_offsets()).tolist()})


def test_figure_1_has_a_dot_for_each_trained_individual_at_its_flops():
    figure = figures.evolution(history(0.3, 0.5, 0.9, 0.0, 0.7, failed=(3,)))
    (axes,) = figure.axes
    found = points(axes)
    assert [x for x, y in found if np.isfinite(y)] == [1, 2, 3, 5]  # In units of 1e9.
    assert r"training FLOPs so far ($10^{9}$)" in texts(figure)
    assert [y for _, y in found if np.isfinite(y)] == pytest.approx([0.2, 0.4, 0.8, 0.6])
    assert "test accuracy (%)" in texts(figure)
    assert figure.get_size_inches()[0] == COLUMN


def test_figure_1_joins_the_fittest_with_its_ancestors_and_marks_up_to_four_networks():
    figure = figures.evolution(history(0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.95, 0.8), drawing, clock="individuals")
    axes = figure.subfigs[0].axes[0]
    (line,) = axes.lines
    assert line.get_xdata().tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert figure.get_size_inches()[0] == PAGE
    shown = [one.get_title().replace(r"\bf", "") for one in figure.subfigs[1].axes]
    assert shown == ["${A}$  10.0%", "${B}$  30.0%", "${C}$  50.0%", "${D}$  85.0%"]
    assert texts(figure).count("Global Pool") == 4
    assert {"A", "B", "C", "D"} <= set(texts(figure))


def test_figure_2_is_the_mean_test_accuracy_of_the_fittest_so_far():
    groups = {"evolution": [history(0.5, 0.9, 0.7), history(0.5, 0.7, 0.8)], "control": [history(0.5, 0.4, 0.6)]}
    (axes,) = figures.repeatability(groups, clock="individuals", inset=False).axes
    named = {line.get_label(): line for line in axes.lines}
    mean = named["evolution (2 runs)"]
    assert (mean.get_xdata()[0], mean.get_xdata()[-1]) == (1, 3)
    assert mean.get_ydata()[[0, -1]].tolist() == pytest.approx([0.4, 0.75])
    # The second individual of the control is worse by validation, so the first stays.
    control = named["control (1 run)"]
    assert control.get_ydata()[np.searchsorted(control.get_xdata(), 2.5)] == pytest.approx(0.4)


def test_figure_2_ends_a_line_where_the_first_of_its_runs_ends():
    groups = {"evolution": [history(0.5, 0.6, 0.7), history(0.5, 0.6, 0.7, 0.8, 0.9)]}
    (axes,) = figures.repeatability(groups, clock="individuals", inset=False).axes
    assert axes.lines[-1].get_xdata()[-1] == 3


def test_figure_2_magnifies_the_end_if_lines_are_close_there():
    near = {"evolution": [history(0.2, 0.9, 0.92, 0.93)], "control": [history(0.2, 0.88, 0.89, 0.9)]}
    far = {"evolution": [history(0.2, 0.9, 0.92, 0.93)], "control": [history(0.2, 0.3, 0.4, 0.4)]}
    assert len(figures.repeatability(near).axes[0].child_axes) == 1
    assert len(figures.repeatability(far).axes[0].child_axes) == 0


def test_figure_3_has_a_circle_for_each_run_and_a_bar_for_the_mean():
    runs = {2: [history(0.5, 0.6), history(0.5, 0.8)], 100: [history(0.5, 0.9)]}
    left, right = figures.dependence({"population size": runs, "training steps": {256: [history(0.4)]}}).axes
    circles = [line for line in left.lines if line.get_marker() == "o"]
    assert [line.get_xdata().tolist() for line in circles] == [[2, 2], [100]]
    assert [line.get_ydata().tolist() for line in circles] == [pytest.approx([0.5, 0.7]), pytest.approx([0.8])]
    bars = [line.get_ydata().item() for line in left.lines if line.get_marker() == "_"]
    assert bars == pytest.approx([0.6, 0.8])
    assert [label.get_text() for label in left.get_xticklabels()] == ["2", "100"]
    assert (left.get_xlabel(), right.get_xlabel()) == ("population size", "training steps")


def test_validation_accuracy_is_drawn_where_nothing_was_tested():
    untested = history(0.3, 0.5).assign(test_accuracy=[None, None])
    figure = figures.evolution(untested)
    assert "validation accuracy (%)" in texts(figure)
    assert [y for _, y in points(figure.axes[0])] == pytest.approx([0.3, 0.5])


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: figures.evolution(history(0.1), clock="hours"), "clock is 'hours', but must be one of flops, virtual"),
        (lambda: figures.evolution(history(0.1).iloc[:0]), "no individual of the history has been trained"),
        (lambda: figures.evolution(history(0.0, failed=(0,))), "no individual of the history has been trained"),
        (lambda: figures.repeatability({}), "no runs are given"),
        (lambda: figures.dependence({"population size": {}}), "a panel has no runs"),
        (lambda: figures.save(figures.network(drawing(4)), "a.jpeg"), "must end in .svg, .pdf, .png"),
        (lambda: figures.save(figures.network(drawing(4)), "no/such/a.svg"), "no/such/a.svg cannot be written"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


def written(folder) -> list[bytes]:
    figure = figures.evolution(history(0.2, 0.3, 0.4, 0.5, 0.6), drawing)
    return [figures.save(figure, folder / f"figure.{kind}").read_bytes() for kind in ("svg", "pdf")]


def test_equal_figures_give_equal_files_without_a_date_in_any_process(tmp_path):
    here = written(tmp_path)
    script = "import pathlib, sys; sys.path[:0] = sys.argv[1:]; import test_figures as t; t.written(pathlib.Path())"
    subprocess.run([sys.executable, "-c", script, *sys.path], check=True, cwd=tmp_path, timeout=60)
    assert [(tmp_path / f"figure.{kind}").read_bytes() for kind in ("svg", "pdf")] == here
    assert not any(word in file for word in (b"CreationDate", b"dc:date") for file in here)


def test_a_notebook_shows_a_figure_as_svg_whatever_matplotlib_is_set_to():
    import matplotlib as mpl

    before = figures.evolution(history(0.3, 0.5))._repr_svg_()
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "red"}):
        assert figures.evolution(history(0.3, 0.5))._repr_svg_() == before
    root = ElementTree.parse(io.StringIO(before)).getroot()
    assert root.attrib["width"] == f"{COLUMN * 72:g}pt"


def test_letters_that_would_not_be_read_are_left_out():
    boxes = tuple(Box(f"layer {place}", "", (1,), "C+BN+R") for place in range(100))
    deep = Drawing(boxes, tuple((place, place + 1) for place in range(99)), "")
    figure = figures.evolution(history(0.3), lambda _: deep)
    assert "C+BN+R" not in texts(figure)
