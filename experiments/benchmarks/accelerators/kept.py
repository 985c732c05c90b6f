"""Rows of the matrix in a file, one JSON object a line, so that a later start goes on."""

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from experiments.benchmarks.accelerators.compiling import Case, Figures
from experiments.json_lines import append_line


def read(path: Path) -> list[Figures]:
    """Returns the rows of a file, none if there is no file. A line that was cut off is left out."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [figures for line in lines if (figures := _figures(line)) is not None]


def add(path: Path, rows: Iterable[Figures]) -> None:
    """Appends rows to a file, and makes it if there is none."""
    for figures in rows:
        append_line(path, dataclasses.asdict(figures))


def missing(cases: Iterable[Case], names: Iterable[str], rows: Iterable[Figures]) -> dict[Case, list[str]]:
    """Returns the genotypes that are still to be compiled for each case, without the cases that are complete."""
    known = {(figures.case, figures.genotype) for figures in rows}
    wanted = list(names)
    left = {case: [name for name in wanted if (case, name) not in known] for case in cases}
    return {case: names for case, names in left.items() if names}


def _figures(line: str) -> Figures | None:
    try:
        fields: dict[str, Any] = json.loads(line)
    except ValueError:
        return None
    return Figures(**{**fields, "case": Case(**fields["case"]), "gathered": tuple(fields["gathered"])})
