"""The accuracies of a history that figures show."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import pandas


class Accuracies(NamedTuple):
    """The accuracies of all individuals, in the order of events.

    Attributes:
        label: of the axis.
        values: in [0, 1], NaN for a failed training.
        winner: place of the fittest, the earliest of equals.
    """

    label: str
    values: np.ndarray
    winner: int


def all_tested(histories: "Iterable[pandas.DataFrame]") -> bool:
    """Returns True if every trained individual of some histories has a test accuracy.

    Raises:
        ValueError: if no training of a history has succeeded.
    """
    tested = [_tested(history) for history in histories]
    return all(tested)


def accuracies(history: "pandas.DataFrame", *, tested: bool | None = None) -> Accuracies:
    """Returns the accuracies of a history.

    Args:
        history: of a run.
        tested: True for the test accuracies, False for the validation accuracies, so that those of several histories
            are alike (`all_tested`); None for the former if there are any.

    Raises:
        ValueError: if no training has succeeded.
    """
    known = _tested(history) if tested is None else tested
    trained = history["failure"].isna().to_numpy()
    test = history["test_accuracy"].to_numpy(float, na_value=np.nan)
    values = test if known else history["validation_accuracy"].to_numpy(float)
    label = "test accuracy (%)" if known else "validation accuracy (%)"
    return Accuracies(label, np.where(trained, values, np.nan), int(np.argmax(_fitness(history))))


def best_so_far(history: "pandas.DataFrame", *, tested: bool | None = None) -> np.ndarray:
    """Returns, after each event, the accuracy of the individual that is then the fittest; NaN before any.

    It may fall where a better validation accuracy comes with a worse test accuracy, as in figure 2 of Real et al.
    """
    fitness = _fitness(history)
    new = fitness > np.concatenate([[-np.inf], np.maximum.accumulate(fitness)[:-1]])
    places = np.maximum.accumulate(np.where(new, np.arange(len(new)), -1))
    values = accuracies(history, tested=tested).values
    return np.where(places < 0, np.nan, values[np.maximum(places, 0)])


def _tested(history: "pandas.DataFrame") -> bool:
    trained = history["failure"].isna().to_numpy()
    if not trained.any():
        raise ValueError("no individual of the history has been trained successfully: there is nothing to draw")
    return bool(np.isfinite(history["test_accuracy"].to_numpy(float, na_value=np.nan)[trained]).all())


def _fitness(history: "pandas.DataFrame") -> np.ndarray:
    """Returns the fitness of all individuals, minus infinity for failed trainings."""
    return np.where(history["failure"].isna(), history["fitness"].to_numpy(float), -np.inf)
