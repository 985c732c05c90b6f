"""The results as Markdown tables, and sentences about the cells in which jaxevo loses."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from experiments.benchmarks.markdown import table
from experiments.benchmarks.side_by_side.comparison import Cell, Ratio, ratios
from experiments.benchmarks.side_by_side.search import SearchCost, median
from experiments.benchmarks.side_by_side.sides import FLAX, JAXEVO


def speed_table(cells: Sequence[Cell], sides: Sequence[str]) -> str:
    """Returns a table of individuals an hour, medians with the least and the most, and jaxevo's ratios."""
    header = ("stream", "bucket", "steps", "individuals", "FLOPs an image", *sides, "over flax", "over torch")
    return table(header, (_speed_row(cell, sides) for cell in cells))


def accuracy_table(cells: Sequence[Cell], sides: Sequence[str]) -> str:
    """Returns a table of mean validation accuracies, which show that all sides train alike."""
    header = ("stream", "bucket", "steps", *sides)
    return table(
        header,
        (
            (cell.stream, cell.bucket.value, f"{cell.train_steps:,}", *(_accuracy_text(cell, side) for side in sides))
            for cell in cells
        ),
    )


def search_table(costs: Mapping[str, Sequence[SearchCost]]) -> str:
    """Returns a table of the search loops' costs for an individual."""
    names = {
        JAXEVO: "jaxevo: host loop, aging evolution, journal forced to disk",
        "pyglove": "PyGlove: regularized evolution, in memory",
        "ray": "Ray Tune: population-based training",
    }
    ours = median(list(costs[JAXEVO])) if JAXEVO in costs else None
    rows = []
    for side, rounds in costs.items():
        found = median(list(rounds))
        times = "" if ours is None else f"{found.wall / ours.wall:.1f}"
        rows.append((names[side], f"{found.wall:,.0f} us", f"{found.processor:,.0f} us", times))
    return table(("search loop", "clock", "processor", "times jaxevo's clock"), rows)


def verdicts(cells: Iterable[Cell]) -> Iterator[str]:
    """Yields a sentence for every ratio that misses its target or is below 1, with the share of compiling."""
    for cell in cells:
        for ratio in ratios(cell):
            if ratio.met and ratio.median >= 1:
                continue
            missed = "meets" if ratio.met else "MISSES"
            yield (
                f"{cell.stream} {cell.bucket.value}, {cell.train_steps:,} steps: {ratio.median:.2f} times "
                f"{ratio.peer}, {missed} the target of {ratio.target:g}. {_reason(cell, ratio)}"
            )


def _reason(cell: Cell, ratio: Ratio) -> str:
    """Returns the reason for a low ratio, judged by the share of jaxevo's lane time spent compiling."""
    compiling = f"jaxevo spends {cell.compile_share:.0%} of its lanes' time on compiling"
    if ratio.peer == FLAX:
        return f"{compiling}, which the plain loop does as well."
    if cell.compile_share >= 0.5:
        return f"{compiling}, which PyTorch, eager, does not do at all."
    return f"{compiling}, which PyTorch does not; the rest is training: oneDNN's convolutions beside XLA's."


def _speed_row(cell: Cell, sides: Sequence[str]) -> tuple[str, ...]:
    found = {"flax" if ratio.peer == FLAX else "torch": ratio for ratio in ratios(cell)}
    flops = sorted(cell.flops_per_image)
    return (
        cell.stream,
        cell.bucket.value,
        f"{cell.train_steps:,}",
        f"{len(flops)}" + (f" ({cell.repeats} repeat)" if cell.repeats else ""),
        f"{_short(flops[0])} to {_short(flops[-1])}",
        *(_speed_text(cell.speeds(side), cell.speed(side)) if side in cell.rounds else "" for side in sides),
        *(_ratio_text(found[peer]) if peer in found else "" for peer in ("flax", "torch")),
    )


def _speed_text(speeds: Sequence[float], middle: float) -> str:
    return f"{middle:,.0f} ({min(speeds):,.0f} to {max(speeds):,.0f})"


def _ratio_text(ratio: Ratio) -> str:
    spread = f"{min(ratio.values):.2f} to {max(ratio.values):.2f}"
    return f"{ratio.median:.2f} ({spread}); {'met' if ratio.met else 'missed'}: {ratio.target:g}"


def _accuracy_text(cell: Cell, side: str) -> str:
    if side not in cell.rounds:
        return ""
    diverged = cell.diverged(side)
    return f"{cell.accuracy(side):.1%}" + (f" ({diverged} diverged)" if diverged else "")


def _short(flops: int) -> str:
    return f"{flops / 1000:,.1f}k"
