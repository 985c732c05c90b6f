"""Print the measures of a classifier."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxevo.reports.metrics import Measures, majority_warning, wilson_interval
from jaxevo.reports.terminal import printable

_CLASSES = 20
_CONFUSIONS = 5


def print_measures(measures: Measures) -> None:
    """Prints the measures below the accuracy: its interval, baselines, classes and most frequent confusions."""
    low, high = measures.interval
    print(f"  95 % interval {low:.2%} to {high:.2%}, of {measures.images:,} images")
    print(f"  balanced accuracy {measures.balanced_accuracy:.2%}")
    if measures.top is not None:
        print(f"  among the {measures.top[0]} most probable classes {measures.top[1]:.2%}")
    print(f"  always answering {measures.majority_class!r} {measures.majority_accuracy:.2%}")
    print_warning(measures.warning)
    _print_classes(measures)
    _print_confusions(measures)


def print_warning(warning: str | None) -> None:
    """Prints that a classifier is no better than the majority class, if it is not."""
    if warning is not None:
        print(f"  Mind: this accuracy is {warning}.")


def print_majority(result: Mapping[str, Any]) -> None:
    """Prints, for the result of a run, that the best individual is no better than the majority class, if so."""
    accuracy, images = result["best_test_accuracy"], result["test_images"]
    if accuracy is not None:
        interval = wilson_interval(round(accuracy * images), images)
        warning = majority_warning(accuracy, interval, result["majority_class"], result["majority_test_accuracy"])
        if warning is not None:
            print(f"Mind: the best test accuracy is {warning}.")


def _print_classes(measures: Measures) -> None:
    """Prints the accuracy by class, of many classes the worst."""
    found = [
        (share, name)
        for share, name in zip(measures.class_accuracy, measures.class_names, strict=True)
        if share is not None
    ]
    shown = found if len(found) <= _CLASSES else sorted(found)[:_CLASSES]
    print(f"  accuracy by class{'' if shown is found else f', the {_CLASSES} worst of {len(found)}'}:")
    for share, name in shown:
        print(f"    {share:>7.2%}  {printable(name)}")


def _print_confusions(measures: Measures) -> None:
    wrong = measures.confusion * (1 - np.eye(len(measures.class_names), dtype=int))
    order = np.argsort(-wrong, axis=None, kind="stable")[:_CONFUSIONS]
    pairs = [np.unravel_index(one, wrong.shape) for one in order if wrong.flat[one]]
    if pairs:
        print("  most frequent confusions (--json has the whole matrix):")
    names = measures.class_names
    for true, predicted in pairs:
        print(f"    {wrong[true, predicted]:>7,}  {printable(names[true])} taken for {printable(names[predicted])}")
