"""The entry point; see the package."""

import datetime
import importlib.util
import os
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import experiments.baselines
from experiments.baselines.recipe import Maker, Recipe, Trained, train
from experiments.benchmarks.markdown import table
from experiments.entry import exit_with, prepare_cpu, program
from jaxevo.data import Dataset, load

_HEADER = ("classifier", "test", "validation", "CPU s", "compiling, CPU s", "steps", "TFLOP")
_NEIGHBOURS = 5
_PLENTY = 1e15
_SIMPLE = ("majority", "linear", "neighbours")
_CNNS = ("flax", "torch")
_NAMES = (*_SIMPLE, *_CNNS)


def main(arguments: list[str] | None = None) -> int:
    """Measures what the arguments ask for, and prints a table; returns 0."""
    defaults = Recipe()
    parser = program("experiments.baselines", experiments.baselines.__doc__)
    parser.add_argument("dataset", help="digits, fashion_mini, an .npz file, ...; as for jaxevo run")
    parser.add_argument("--cpu-seconds", type=float, nargs="+", default=[30.0], help="of the CNN; default: 30")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the CNN; default: 0 1 2")
    parser.add_argument("--only", nargs="+", choices=_NAMES, help="default: all, torch if it is installed")
    parser.add_argument("--batch-size", type=int, default=defaults.batch_size, help="default: %(default)s")
    parser.add_argument("--peak-rate", type=float, default=defaults.peak_rate, help="default: %(default)s")
    parser.add_argument(
        "--as-finish",
        action="store_true",
        help="the CNN gets what the finish of the presets has: label smoothing of 0.1, crops of a pixel and flips of "
        "grey images too, and the validation images to learn from",
    )
    given = parser.parse_args(arguments)
    if min(given.cpu_seconds) <= 0:
        raise ValueError(f"cpu-seconds is {min(given.cpu_seconds)}, but must be above 0")
    chosen = _chosen(given.only)
    prepare_cpu()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    dataset = load(given.dataset)
    recipe = Recipe(given.batch_size, given.peak_rate, as_finish=given.as_finish)
    rows = [*_simple(dataset, chosen), *_cnns(dataset, chosen, recipe, given.cpu_seconds, given.seeds)]
    words = sys.argv[1:] if arguments is None else arguments
    print(f"`python -m experiments.baselines {shlex.join(words)}`, {machine()}, {datetime.date.today()}\n")
    print(table(_HEADER, rows))
    return 0


def _chosen(only: Sequence[str] | None) -> list[str]:
    torch = importlib.util.find_spec("torch") is not None
    if only is None:
        return [name for name in _NAMES if torch or name != "torch"]
    if "torch" in only and not torch:
        raise ValueError("torch cannot be imported: install it with pip install 'jaxevo[peers]', or leave it out")
    return [name for name in _NAMES if name in only]


def machine() -> str:
    """Returns processor, cores and load of this machine."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    return f"one of {os.cpu_count()} cores of {model}, load {os.getloadavg()[0]:.1f}"


def _simple(dataset: Dataset, chosen: Sequence[str]) -> Iterator[Sequence[str]]:
    from experiments.baselines import neighbours
    from jaxevo.reports.baselines import fit_linear, majority_accuracy, plan_linear

    def majority() -> tuple[float, float | None, float]:
        return majority_accuracy(dataset), None, 0.0

    def linear() -> tuple[float, float | None, float]:
        plan = plan_linear(dataset, _PLENTY)
        if plan is None:
            raise ValueError(f"dataset {dataset.name} is too large for the linear model: leave it out with --only")
        model = fit_linear(dataset, plan)
        return model.accuracy(dataset.test), model.accuracy(dataset.validation), plan.flops

    def nearest() -> tuple[float, float | None, float]:
        products = 2.0 * dataset.train.images.size * len(dataset.test.labels)
        return neighbours.accuracy(dataset, dataset.test, _NEIGHBOURS), None, products

    measured: dict[str, tuple[str, Callable[[], tuple[float, float | None, float]]]] = {
        "majority": ("majority class", majority),
        "linear": ("logistic regression", linear),
        "neighbours": (f"{_NEIGHBOURS} nearest neighbours", nearest),
    }
    for name in (name for name in _SIMPLE if name in chosen):
        words, measure = measured[name]
        began = time.process_time()
        test, validation, flops = measure()
        seconds = time.process_time() - began
        yield words, _percent(test), _percent(validation), f"{seconds:.1f}", "", "", f"{flops / 1e12:.3f}"


def _cnns(
    dataset: Dataset, chosen: Sequence[str], recipe: Recipe, cpu_seconds: Sequence[float], seeds: Sequence[int]
) -> Iterator[Sequence[str]]:
    for name in (name for name in _CNNS if name in chosen):
        for budget in cpu_seconds:
            trained = []
            for seed in seeds:
                trained.append(train(_maker(name), dataset, recipe, budget, seed))
                print(f"{name}, {budget:g} CPU s, seed {seed}: {trained[-1]}", file=sys.stderr, flush=True)
            how = ", as a finish" if recipe.as_finish else ""
            yield _row(f"CNN by hand, {name}{how}, {budget:g} CPU s, median of {len(seeds)}", trained)


def _maker(name: str) -> Maker:
    """Returns what makes a learner, imported only now: JAX must have been prepared, and PyTorch may be missing."""
    if name == "torch":
        from experiments.baselines.cnn_torch import TorchLearner

        return TorchLearner
    from experiments.baselines.cnn_flax import FlaxLearner

    return FlaxLearner


def _row(name: str, trained: Sequence[Trained]) -> Sequence[str]:
    test, validation, seconds, compiling, steps, flops = (
        statistics.median(getattr(one, field) for one in trained)
        for field in ("test", "validation", "cpu_seconds", "compile_seconds", "steps", "flops")
    )
    return (
        *(name, _percent(test), _percent(validation), f"{seconds:.1f}", f"{compiling:.1f}", f"{steps:,.0f}"),
        f"{flops / 1e12:.3f}",
    )


def _percent(accuracy: float | None) -> str:
    return "" if accuracy is None else f"{accuracy:.1%}"


if __name__ == "__main__":
    exit_with(main)
