"""Compare two documents of `jaxevo bench --json`: every figure that both have, and its ratio.

The documents may come from other people, so that nothing in them is taken for granted.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console, RenderableType

from jaxevo.bench.part import PARTS
from jaxevo.bench.report import HEADLINE, number, print_section, table_of
from jaxevo.bench.suite import SCHEMA_VERSION
from jaxevo.reports.terminal import printable

_PARTS = (*PARTS, "memory")
# The fields by which an entry of a list is found in the other document.
_IDENTITY = ("name", "dtype", "part", "source", "batch_size", "threads", "lanes", "devices")
# Facts about an entry rather than measurements.
_FACTS = (
    "size",
    "array_bytes",
    "architectures",
    "individuals",
    "lanes_per_device",
    "convolutions",
    "parameters",
    "forward_flops_per_image",
    "training_flops_per_image",
    "predicted_step_seconds",
)
_SPREAD = {"median", "min", "max", "samples"}
_UNITS = ((1e9, "G"), (1e6, "M"))


class Measured(NamedTuple):
    """A document of `jaxevo bench --json`.

    Attributes:
        name: path of its file, as it was given.
        document: its content, with the fields that every document has.
    """

    name: str
    document: dict[str, Any]


def read_both(paths: Sequence[str]) -> tuple[Measured, Measured]:
    """Returns two documents that can be compared.

    Raises:
        ValueError: with a sentence, if there are not two paths, if a file is no such document or of another version,
            or if their extents differ.
        OSError: if a file cannot be read.
    """
    if len(paths) != 2:
        raise ValueError(f"compare is {' '.join(paths)!r}, but must be two files that jaxevo bench --json wrote")
    one, other = (Measured(path, _read(path)) for path in paths)
    differing = _differing(one.document["extent"], other.document["extent"])
    if differing:
        raise ValueError(
            f"compare is {' '.join(paths)!r}, whose extents differ ({', '.join(differing)}): measure both with "
            "--quick, or both without, by the same version of jaxevo"
        )
    return one, other


def print_comparison(console: Console, one: Measured, other: Measured) -> None:
    """Prints both machines, then a table for each part with every figure that both documents have."""
    for section in _sections(one, other):
        print_section(console, section)


def _read(path: str) -> dict[str, Any]:
    refusal = f"compare is {path!r}, which is no file that jaxevo bench --json wrote"
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"compare is {path!r}, which cannot be read ({error.strerror})") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(refusal) from error
    if not isinstance(document, dict) or "schema_version" not in document:
        raise ValueError(refusal)
    version = document["schema_version"]
    if version != SCHEMA_VERSION:
        raise ValueError(
            f"compare is {path!r}, whose schema_version is {version!r}, but this jaxevo reads {SCHEMA_VERSION}: "
            "measure again, or compare with the jaxevo that wrote it"
        )
    if not all(isinstance(document.get(field), dict) for field in ("machine", "extent", "settings")):
        raise ValueError(refusal)
    return document


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


def _sections(one: Measured, other: Measured) -> Iterator[RenderableType]:
    for letter, measured in zip("AB", (one, other), strict=True):
        yield f"{letter}: {printable(measured.name)}, {_text(measured.document.get('date'))}"
        machine = measured.document["machine"]
        yield "   " + ", ".join(f"{name} {_text(machine.get(name))}" for name in HEADLINE)
        yield f"   {_text(machine.get('instruction sets'))}; XLA_FLAGS {_text(machine.get('XLA_FLAGS')) or 'none'}"
    yield ""
    for part in _PARTS:
        yield from _part(part, one, other)
    yield "Medians. Figures that one document lacks are left out; B / A is the ratio."


def _part(part: str, one: Measured, other: Measured) -> Iterator[RenderableType]:
    """Yields the table of a part, or why there is none."""
    lacking = [printable(measured.name) for measured in (one, other) if not _has(measured.document.get(part))]
    if lacking:
        yield f"{part}: not measured in {' and '.join(lacking)}\n"
        return
    unlike = _unlike(part, one.document["settings"], other.document["settings"])
    if unlike:
        yield f"{part}: not compared, its settings differ ({printable(', '.join(unlike))})\n"
        return
    figures, others = (dict(_figures(measured.document[part], "")) for measured in (one, other))
    table = table_of(part, "figure", "A", "B", "B / A")
    both = [label for label in figures if label in others]
    for label in both:
        before, after = figures[label], others[label]
        table.add_row(printable(label), _scaled(before), _scaled(after), number(after / before) if before else "-")
    if both:
        yield table
    missing = [
        f"{len(found) - len(both)} in {letter} alone"
        for letter, found in zip("AB", (figures, others), strict=True)
        if len(found) > len(both)
    ]
    yield f"{part}: {', '.join(missing)}\n" if missing else ""


def _has(measured: Any) -> bool:
    return isinstance(measured, list) or (isinstance(measured, dict) and "not_measured" not in measured)


def _unlike(part: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Returns the settings of a part that both documents have and that differ."""
    name = "evolution" if part == "evolution" else "ladder"
    before, after = one.get(name), other.get(name)
    if not isinstance(before, dict) or not isinstance(after, dict):
        return []
    return sorted(field for field in before.keys() & after.keys() if before[field] != after[field])


def _figures(measured: Any, label: str, known: Sequence[str] = _FACTS) -> Iterator[tuple[str, float]]:
    """Yields the label and the median of every figure in a part of a document, but for those that are known."""
    if isinstance(measured, list):
        for entry in measured:
            yield from _figures(entry, _joined(label, _identity(entry)), (*_FACTS, *_IDENTITY))
    elif isinstance(measured, dict):
        for name, value in measured.items():
            if isinstance(value, dict) and value.keys() >= _SPREAD:
                value = value["median"]
            if isinstance(value, list | dict):
                yield from _figures(value, label)
            elif name not in known and _is_number(value):
                yield _joined(label, name.replace("_", " ")), value


def _identity(entry: Any) -> str:
    if not isinstance(entry, dict):
        return ""
    known = [(name, entry[name]) for name in _IDENTITY if isinstance(entry.get(name), str | int)]
    return ", ".join(value if isinstance(value, str) else f"{name.replace('_', ' ')} {value}" for name, value in known)


def _joined(*labels: str) -> str:
    return ": ".join(label for label in labels if label)


def _is_number(value: Any) -> bool:
    if isinstance(value, int):
        return not isinstance(value, bool)
    return isinstance(value, float) and math.isfinite(value)


def _scaled(value: float) -> str:
    for factor, unit in _UNITS:
        if abs(value) >= factor:
            return f"{number(value / factor)} {unit}"
    return number(value)


def _text(value: Any) -> str:
    return printable(str(value)) if value is not None else "unknown"
