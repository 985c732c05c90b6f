"""The individuals of a run as columns, in the order of events: a tenth of the size of one object each."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jaxevo.reports.page.times import elapsed_seconds
from jaxevo.search.space import Box, Drawing, SearchSpace, Task
from jaxevo.storage.history import History, Life

JSON = Any
"""A value that `json.dumps` writes."""

_Edges = tuple[tuple[int, int], ...]

NONE = -1
"""Stands for a missing place in a column of whole numbers, where `null` would take more room."""


def individuals(history: History) -> dict[str, JSON]:
    """Returns all individuals of a run as columns of equal length, in the order of events.

    `parent` and the entries of `mutation` and `drawing` are places: of an earlier individual, in `mutations` and in
    `drawings`. `death` is the last event at which an individual lived, 0 while it lives. Times are in seconds.
    """
    lives = list(history.lives.values())
    places = {life.individual.id: place for place, life in enumerate(lives)}
    mutations = _Table(life.individual.mutation for life in lives)
    failures = _Table(life.record.outcome.failure for life in lives)
    elapsed = elapsed_seconds(history.journal)
    space, task = history.space, history.manifest.task
    columns: dict[str, list[JSON]] = {
        "id": [life.individual.id for life in lives],
        "parent": [_place(places, life.individual.parent_id) for life in lives],
        "mutation": mutations.column,
        "validation": [round(life.individual.accuracy, 6) for life in lives],
        "test": [_rounded(life.record.test_accuracy, 6) for life in lives],
        "failure": failures.column,
        "death": [life.death or 0 for life in lives],
        "inherits": [int(life.birth.inherited is not None) for life in lives],
        "virtual": [round(life.virtual_seconds, 2) for life in lives],
        "elapsed": [round(elapsed(life.record), 2) for life in lives],
        "train": [round(life.record.train_seconds, 3) for life in lives],
        "compile": [round(life.record.compile_seconds, 3) for life in lives],
        "flops": [history.flops(life) for life in lives],
        "parameters": [life.birth.cost.parameters for life in lives],
        "image_flops": [life.birth.cost.forward_flops for life in lives],
        "learning_rate": [_significant(life.birth.training.learning_rate) for life in lives],
    }
    drawings = _Drawings(space, task, lives)
    return {
        "columns": columns | {"drawing": drawings.column},
        "mutations": mutations.values,
        "failures": failures.values,
        "summary": _summary(space, task, lives, columns),
        **drawings.to_json(),
    }


def _summary(
    space: SearchSpace[Any], task: Task, lives: Sequence[Life], columns: Mapping[str, list[JSON]]
) -> dict[str, list[JSON]]:
    """Returns the columns of the space's summary, without those that every run has."""
    summaries = [space.summary(life.individual.genotype, task) for life in lives]
    known = [columns[name] for name in ("parameters", "image_flops", "learning_rate")]
    found = {}
    for name in dict.fromkeys(name for summary in summaries for name in summary):
        column = [_significant(summary[name]) if name in summary else "" for summary in summaries]
        if column not in known:
            found[name] = column
    return found


class _Table:
    """The distinct values of a column, and their places."""

    def __init__(self, values: Iterable[str | None]) -> None:
        """Takes the values; None gets the place `NONE`."""
        places: dict[str, int] = {}
        self.column = [NONE if value is None else places.setdefault(value, len(places)) for value in values]
        self.values = list(places)


class _Drawings:
    """The distinct drawings: a box that several drawings share is held once, as are drawings that are equal."""

    def __init__(self, space: SearchSpace[Any], task: Task, lives: Sequence[Life]) -> None:
        by_genotype: dict[str, int] = {}
        places: dict[tuple[tuple[Box, ...], _Edges], int] = {}
        self.column = []
        for life in lives:
            sha256 = life.birth.genotype_sha256
            if sha256 not in by_genotype:
                drawing = space.drawing(life.individual.genotype, task)
                by_genotype[sha256] = places.setdefault((drawing.boxes, _skips(drawing)), len(places))
            self.column.append(by_genotype[sha256])
        self._drawings = list(places)

    def to_json(self) -> dict[str, JSON]:
        """Returns `boxes`, and `drawings` as pairs: places of boxes, and edges but those between neighbours."""
        uses: dict[Box, int] = {}
        for boxes, _ in self._drawings:
            for box in boxes:
                uses[box] = uses.get(box, 0) + 1
        frequent = sorted(uses, key=lambda box: -uses[box])  # Frequent boxes get short numbers.
        places = {box: place for place, box in enumerate(frequent)}
        return {
            "boxes": [[box.title, box.detail, list(box.shape), box.label, int(box.shaded)] for box in frequent],
            "drawings": [[[places[box] for box in boxes], skips] for boxes, skips in self._drawings],
        }


def _skips(drawing: Drawing) -> _Edges:
    """Returns the edges of a drawing but those from each box to the next.

    If two neighbours are not joined, the pair stands in it reversed.
    """
    edges = set(drawing.edges)
    backbone = [(place, place + 1) for place in range(len(drawing.boxes) - 1)]
    missing = [(target, source) for source, target in backbone if (source, target) not in edges]
    return (*missing, *(edge for edge in drawing.edges if edge[1] - edge[0] > 1))


def _place(places: Mapping[int, int], individual_id: int | None) -> int:
    return NONE if individual_id is None else places[individual_id]


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _significant(value: float | str) -> float | str:
    """Returns a number with five significant digits, and all else as it is."""
    if not isinstance(value, float) or not math.isfinite(value):
        return value if not isinstance(value, float) else str(value)
    return float(f"{value:.5g}")
