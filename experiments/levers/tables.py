"""The table of paired differences."""

import statistics
from collections.abc import Mapping, Sequence

from experiments.benchmarks.markdown import table
from experiments.levers.arms import DEFAULT
from experiments.levers.row import Result
from experiments.levers.statistics import interval, sign_flip_p

_HEADER = (
    "",
    "pairs",
    "accuracy",
    "the default gains",
    "95 %",
    "p",
    "individuals",
    "TFLOP",
    "CPU seconds",
    "compiling",
)


def comparison(results: Mapping[tuple[str, int], Result], arms: Sequence[str], seeds: Sequence[int]) -> str:
    """Returns a table with a line for the default, and one for each arm: its differences from the default.

    Args:
        results: by arm and seed.
        arms: to compare with the default.
        seeds: of the pairs.
    """
    default = [results[DEFAULT, seed] for seed in seeds]
    short = [f"{arm}: {count}" for arm in arms if (count := _short(results, arm, seeds))]
    rows = [(DEFAULT, str(len(seeds)), _mean_accuracy(default), "", "", "", *_costs(default))]
    for arm in arms:
        others = [results[arm, seed] for seed in seeds]
        gains = [ours.accuracy - other.accuracy for ours, other in zip(default, others, strict=True)]
        rows.append((arm, str(len(seeds)), _mean_accuracy(others), *_gain(gains), *_costs(others)))
    said = f"\n\nRows that ended before these FLOPs, at their CPU seconds: {', '.join(short)}." if short else ""
    return table(_HEADER, rows) + said


def _short(results: Mapping[tuple[str, int], Result], arm: str, seeds: Sequence[int]) -> int:
    """Returns the number of an arm's rows that had FLOPs as their budget and did not reach them."""
    return sum(results[arm, seed].reached_flops is False for seed in seeds)


def _gain(gains: Sequence[float]) -> tuple[str, str, str]:
    ends = interval(gains)
    between = "too few pairs" if ends is None else f"{_points(ends[0])} to {_points(ends[1])}"
    return _points(statistics.fmean(gains)), between, f"{sign_flip_p(gains):.3f}"


def _mean_accuracy(results: Sequence[Result]) -> str:
    return f"{statistics.fmean(result.accuracy for result in results):.1%}"


def _costs(results: Sequence[Result]) -> tuple[str, ...]:
    def median(name: str) -> float:
        return statistics.median(getattr(result, name) for result in results)

    return (
        f"{median('events'):.0f}",
        f"{median('flops') / 1e12:.3g}",
        f"{median('cpu_seconds'):.0f}",
        f"{median('compile_share'):.0%}",
    )


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"
