"""Print measurements as tables, and check the path of the document."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rich.box
from rich.console import Console, RenderableType
from rich.table import Table

from jaxevo.bench.timing import Spread

_WIDTH = 120
HEADLINE = ("jaxevo", "jax", "jaxlib", "python", "device", "local devices", "cores")
"""The facts about the machine in the headline; the document has all of them."""

_SINGULAR = {"lanes": "lane", "devices": "device"}


def check_writable(path: Path) -> None:
    """Raises `ValueError` if the document cannot be written, before anything is measured."""
    if path.is_dir():
        raise ValueError(f"json is {str(path)!r}, which is a folder: name a file in it")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise ValueError(
            f"json is {str(path)!r}, but {str(path.parent)!r} cannot be written to ({error.strerror}): "
            "name a file in a writable folder"
        ) from error


def report_console() -> Console:
    """Returns a console wide enough for all tables; a narrow terminal wraps lines, but no number is truncated."""
    console = Console()
    return console if console.width >= _WIDTH else Console(width=_WIDTH)


def print_sections(console: Console, part: str, document: dict[str, Any]) -> None:
    """Prints a part: a table with its notes, or why it was not measured."""
    for section in _sections(part, document):
        print_section(console, section)


def print_section(console: Console, section: RenderableType) -> None:
    """Prints a table or a note; the terminal wraps a note at its own width."""
    soft_wrap = console.is_terminal and not isinstance(section, Table)
    console.print(section, soft_wrap=soft_wrap, highlight=False, markup=False)


def _sections(part: str, document: dict[str, Any]) -> list[RenderableType]:
    """Returns the sections of a part: a table with its notes, or why it was not measured."""
    measured = document[part]
    if isinstance(measured, dict) and "not_measured" in measured:
        return [f"{part}: not measured, {measured['not_measured']}\n"]
    return [*_SECTIONS[part](measured, document), ""]


def _device(measured: dict[str, Any], document: dict[str, Any]) -> list[RenderableType]:
    machine = document["machine"]
    headline = ", ".join(f"{name} {machine[name]}" for name in HEADLINE)
    table = table_of("device (one lane's)", "measure", "median", "range")
    for product in measured["products"]:
        speed = _spread(product["flops_per_second"])
        name = f"{product['dtype']} matrix product, {product['size']:,} x {product['size']:,}"
        table.add_row(name, f"{number(speed.median / 1e9)} GFLOP/s", _range(speed, 1e-9))
    bandwidth = _spread(measured["bandwidth_bytes_per_second"])
    name = f"bandwidth, a = a + 2 b, {measured['array_bytes'] / 2**20:,.0f} MiB each"
    table.add_row(name, f"{number(bandwidth.median / 1e9)} GB/s", _range(bandwidth, 1e-9))
    return [headline, f"{machine['instruction sets']}; XLA_FLAGS {machine['XLA_FLAGS'] or 'none'}", "", table]


def _ladder(measured: list[dict[str, Any]], document: dict[str, Any]) -> list[RenderableType]:
    columns = ("step ms", "range", "images/s", "GFLOP/s", "of peak", "evaluated/s", "cold s", "warm s")
    table = table_of("ladder, 32 x 32 x 3, batch 50", "network", "parameters", "MFLOP", *columns)
    notes = []
    for rung in measured:
        first = (rung["name"], f"{rung['parameters']:,}", number(rung["training_flops_per_image"] / 1e6))
        if rung["not_measured"] is not None:
            table.add_row(*first, *("-",) * len(columns))
            notes.append(f"{rung['name']}: not measured, {rung['not_measured']}.")
            continue
        step = _spread(rung["step_seconds"])
        table.add_row(
            *first,
            number(1e3 * step.median),
            _range(step, 1e3),
            _median(rung["images_per_second"]),
            _median(rung["flops_per_second"], 1e-9),
            f"{rung['peak_share']['median']:.1%}",
            _median(rung["evaluated_images_per_second"]),
            _median(rung["compile_cold_seconds"]),
            _median(rung["compile_warm_seconds"]),
        )
    samples = sorted({rung["step_seconds"]["samples"] for rung in measured if rung["step_seconds"] is not None})
    notes.append(
        "MFLOP: to train one image, forward and gradient, counted from the architecture. of peak: share of the GFLOP/s "
        f"of the float32 product. Medians of {' or '.join(map(str, samples))} samples; fewer if they are predicted to "
        "take long. cold, warm: compiling training and evaluation without and with JAX's cache on disk."
    )
    return [table, *notes]


def _batches(measured: list[dict[str, Any]], document: dict[str, Any]) -> list[RenderableType]:
    table = table_of("batch sizes", "network", "batch", "step ms", "images/s", "range")
    notes = []
    for speed in measured:
        first = speed["name"], str(speed["batch_size"])
        if speed["not_measured"] is not None:
            table.add_row(*first, *("-",) * 3)
            notes.append(f"{speed['name']}, batch {speed['batch_size']}: not measured, {speed['not_measured']}.")
            continue
        images = _spread(speed["images_per_second"])
        table.add_row(*first, _median(speed["step_seconds"], 1e3), number(images.median), _range(images))
    return [table, *notes]


def _compiling(measured: dict[str, Any], document: dict[str, Any]) -> list[RenderableType]:
    table = table_of("compiling, cold cache", "threads", "architectures", "architectures/s of all", "range", "ratio")
    for speed in measured["speeds"]:
        rate = _spread(speed["architectures_per_second"])
        ratio = f"{speed['ratio']:.2f}"
        table.add_row(str(speed["threads"]), str(speed["architectures"]), number(rate.median), _range(rate), ratio)
    python = measured["python_seconds_per_architecture"]["median"]
    note = (
        "Different networks of three convolutions, training and evaluation. Tracing and lowering are Python and take "
        f"{number(python)} s each; one thread at a time does this, so hardly more than {number(1 / python)} a second "
        "are compiled, however many threads there are."
    )
    return [table, note]


def _evolution(measured: dict[str, Any], document: dict[str, Any]) -> list[RenderableType]:
    title = f"evolution of {measured['individuals']} individuals, {_count(measured['lanes'], 'lanes')}, cold cache"
    table = table_of(title, "measure", "median", "range")
    for name, label, percent in (
        ("individuals_per_hour", "individuals an hour", False),
        ("compile_share", "compile share", True),
        ("lane_idle_share", "lanes idle", True),
        ("compile_wait_share", "all lanes wait for compiling", True),
        ("host_cpu_microseconds_per_event", "host loop, microseconds an event", False),
        ("host_cpu_microseconds_median", "the same, median event", False),
    ):
        value = _spread(measured[name])
        if percent:
            table.add_row(label, f"{value.median:.1%}", _range(value, 100, "%"))
        else:
            table.add_row(label, number(value.median), _range(value))
    note = (
        f"digits, seed {document['settings']['evolution']['seed']}, {_times(measured['wall_seconds']['samples'])}. "
        "compile share: of compiling and training together. lanes idle: 1 - training seconds / (lanes x wall seconds); "
        "idle lanes wait for births, or for compilations in other threads. all lanes wait for compiling: share of the "
        "wall time in which no lane trains and an architecture is being compiled. host loop: processor time of its "
        "thread, with journal and snapshots, without waiting."
    )
    return [table, note]


def _lanes(measured: list[dict[str, Any]], document: dict[str, Any]) -> list[RenderableType]:
    columns = ("lanes", "devices", "lanes a device", "steps/s of all", "range", "ratio")
    table = table_of("lanes, an individual each", "network", *columns)
    for speed in measured:
        counts = (str(speed[name]) for name in ("lanes", "devices", "lanes_per_device"))
        table.add_row(speed["name"], *counts, *_speed(speed))
    return [table]


def _devices(measured: dict[str, Any], document: dict[str, Any]) -> list[RenderableType]:
    kind = "virtual CPU devices" if measured["virtual"] else "devices"
    table = table_of(f"{kind} that share an individual", "network", "devices", "batch", "steps/s", "range", "ratio")
    for speed in measured["speeds"]:
        table.add_row(speed["name"], str(speed["devices"]), str(speed["batch_size"]), *_speed(speed))
    note = "They share a pool of one thread per device: a single device may use more than one core."
    return [table, note] if measured["virtual"] else [table]


def _memory(measured: list[dict[str, Any]], document: dict[str, Any]) -> list[RenderableType]:
    table = table_of("memory, high-water mark of each part's process", "part", "MiB", "measured by")
    for peak in measured:
        table.add_row(peak["part"], f"{peak['peak_bytes'] / 2**20:,.0f}", peak["source"])
    return [table]


_SECTIONS: dict[str, Callable[[Any, dict[str, Any]], list[RenderableType]]] = {
    "device": _device,
    "ladder": _ladder,
    "batches": _batches,
    "compiling": _compiling,
    "evolution": _evolution,
    "lanes": _lanes,
    "devices": _devices,
    "memory": _memory,
}


def table_of(title: str, first: str, *others: str) -> Table:
    """Returns an empty table; the columns after the first hold numbers."""
    table = Table(title=title, title_justify="left", box=rich.box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _speed(speed: dict[str, Any]) -> tuple[str, str, str]:
    steps = _spread(speed["steps_per_second"])
    return number(steps.median), _range(steps), f"{speed['ratio']:.2f}"


def _spread(fields: dict[str, Any]) -> Spread:
    return Spread(**fields)


def _median(fields: dict[str, Any], factor: float = 1.0) -> str:
    return number(factor * fields["median"])


def _range(value: Spread, factor: float = 1.0, unit: str = "") -> str:
    if value.samples == 1:
        return ""
    return f"{number(factor * value.min)} - {number(factor * value.max)}{unit}"


def number(value: float) -> str:
    """Returns a number to three significant digits, without cutting integer digits."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"


def _count(number: int, plural: str) -> str:
    return f"{number} {_SINGULAR[plural] if number == 1 else plural}"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
