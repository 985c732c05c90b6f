"""The course of a run: the best so far, and the population, at moments of the run."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxevo.reports.page.descent import common_ancestor, generations
from jaxevo.search.evolution import fitter
from jaxevo.storage.history import History

_MOMENTS = 160


@dataclass(frozen=True)
class Curve:
    """A small chart over the run.

    Attributes:
        title: of the chart.
        kind: "share" for accuracies, "log" for a logarithmic axis, "number" otherwise.
        lines: values at every moment, by name; None where there is no value.
        band: first and third quartile of the living at every moment; empty for none.
    """

    title: str
    kind: str
    lines: dict[str, list[float | None]]
    band: tuple[list[float | None], ...] = ()


def curves(history: History, columns: Mapping[str, list[Any]], summary: Mapping[str, list[Any]]) -> dict[str, Any]:
    """Returns the moments as event numbers, and the curves.

    Args:
        history: the run.
        columns: columns of the individuals, in the order of events.
        summary: columns of the space's summary.
    """
    events = len(columns["id"])
    moments = sorted({round(moment) for moment in np.linspace(1, events, min(events, _MOMENTS))}) if events else []
    death = np.array([end or events + 1 for end in columns["death"]])
    born = np.arange(1, events + 1)
    living = [np.flatnonzero((born <= moment) & (death >= moment)) for moment in moments]
    drawn = [_accuracy(history, columns, moments, living), _descent(history, living), _diversity(history, living)]
    titles = {"learning rate": columns["learning_rate"], "parameters": columns["parameters"]}
    titles |= {"FLOPs per image": columns["image_flops"]}
    titles |= {name.replace("_", " "): column for name, column in summary.items() if _numeric(column)}
    drawn += [_quartiles(title, np.array(column, float), living) for title, column in titles.items()]
    return {"moments": moments, "charts": [dataclasses.asdict(curve) for curve in drawn]}


def _accuracy(
    history: History, columns: Mapping[str, list[Any]], moments: list[int], living: list[np.ndarray]
) -> Curve:
    places = {individual_id: place for place, individual_id in enumerate(history.lives)}
    bests = list(itertools.accumulate((life.individual for life in history.lives.values()), fitter))
    best = [places[bests[moment - 1].id] for moment in moments]
    failed = [bests[moment - 1].failure is not None for moment in moments]
    population = _quartiles("", np.array(columns["validation"]), living)
    return Curve(
        "accuracy",
        "share",
        {
            "best validation": [
                None if has_failed else round(columns["validation"][place], 5)
                for place, has_failed in zip(best, failed, strict=True)
            ],
            "its test": [columns["test"][place] for place in best],
            "living, median": population.lines["living, median"],
        },
        population.band,
    )


def _quartiles(title: str, values: np.ndarray, living: list[np.ndarray]) -> Curve:
    rows = [np.percentile(values[places], (25, 50, 75)) if len(places) else None for places in living]
    low, middle, high = ([None if row is None else _short(row[place]) for row in rows] for place in range(3))
    positive = values[values > 0]
    log = len(positive) == len(values) > 0 and positive.max() > 20 * positive.min()
    return Curve(title, "log" if log else "number", {"living, median": middle}, (low, high))


def _descent(history: History, living: list[np.ndarray]) -> Curve:
    ids = list(history.lives)
    parents = {one: life.individual.parent_id for one, life in history.lives.items()}
    depths = generations(history)
    found = [common_ancestor((ids[place] for place in places), parents) for places in living]
    return Curve(
        "generations",
        "number",
        {
            "living, mean": [_of(places, lambda place: depths[ids[place]]) for places in living],
            "most recent common ancestor": [None if one is None else depths[one] for one in found],
        },
    )


def _diversity(history: History, living: list[np.ndarray]) -> Curve:
    numbers: dict[Any, int] = {}
    # Without the code of its space a run has no architectures, only genotypes.
    described = [life.birth.architecture or life.birth.genotype_sha256 for life in history.lives.values()]
    kinds = [numbers.setdefault(kind, len(numbers)) for kind in described]
    return Curve(
        "architectures",
        "number",
        {"distinct among the living": [len({kinds[place] for place in places}) for places in living]},
    )


def _of(places: Iterable[int], value: Callable[[int], float]) -> float | None:
    values = [value(place) for place in places]
    return _short(float(np.mean(values))) if values else None


def _numeric(column: list[Any]) -> bool:
    return bool(column) and all(isinstance(value, int | float) for value in column)


def _short(value: float) -> float:
    return float(f"{value:.4g}")
