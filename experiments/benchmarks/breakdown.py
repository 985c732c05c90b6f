"""Where the time of a run goes: compiling, steps, evaluation, inheritance, weights, and all the rest.

    python -m experiments.benchmarks.breakdown fashion_mini
    python -m experiments.benchmarks.breakdown cifar10 --dataset cifar.npz --seed 7

Runs an experiment with one lane on one core, which compiles as well, with an empty cache of executables. Prints the
seconds that each part took, with GFLOP/s of the steps and of the whole run; the finish, which is all steps, comes
apart. The rest is what the lane waits for: the host loop, the journal, the start.
"""

import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.benchmarks.apart import in_fresh_process
from experiments.benchmarks.markdown import table
from experiments.entry import exit_with, prepare_cpu, program
from experiments.experiment import Experiment, load, names
from jaxevo.settings import Execution

_REST = "the rest"


@dataclass(frozen=True)
class Breakdown:
    """Measurements of one run.

    Attributes:
        seconds: of the evolution, by what they went into; they add up to all of it.
        flops: of the evolution.
        individuals: trained.
        finish_seconds: of the finish, with its compiling.
        finish_flops: of the finish.
    """

    seconds: dict[str, float]
    flops: float
    individuals: int
    finish_seconds: float
    finish_flops: float

    @property
    def share_of_speed(self) -> float:
        """FLOPs a second of the evolution over those of its steps."""
        return self.seconds["steps"] / sum(self.seconds.values())

    @property
    def share_of_speed_with_finish(self) -> float:
        """The same of evolution and finish together."""
        steps_speed = self.flops / self.seconds["steps"]
        return (self.flops + self.finish_flops) / (sum(self.seconds.values()) + self.finish_seconds) / steps_speed


def main(arguments: list[str] | None = None) -> int:
    """Runs the experiment and prints the table; returns 0."""
    parser = program("experiments.benchmarks.breakdown", __doc__)
    parser.add_argument("name", choices=names(), help="the experiment")
    parser.add_argument("--dataset", help="a data set in place of the experiment's, such as a .npz file")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument("--max-flops", type=float, help="in place of the experiment's")
    given = parser.parse_args(arguments)
    experiment = load(given.name).changed(max_flops=given.max_flops, seed=given.seed, dataset=given.dataset)
    print(report(in_fresh_process(measure, experiment)))
    return 0


def measure(experiment: Experiment) -> Breakdown:
    """Runs an experiment in this process, which must be fresh, and measures it."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    execution = Execution(lanes=1)
    prepare_cpu(execution)
    import jaxevo
    from jaxevo.execution import lane, local
    from jaxevo.networks.compilation import Compiler
    from jaxevo.networks.trainer import Trainer
    from jaxevo.session.finish import finish_run
    from jaxevo.session.progress import Watcher
    from jaxevo.session.run import start_run
    from jaxevo.storage.checkpoint import WeightStore

    spent: defaultdict[str, float] = defaultdict(float)
    within: list[float] = []
    # No thread compiles ahead, so that the parts do not overlap.
    setattr(local, "threads_ahead", lambda *_: 0)  # noqa: B010 - the module does not export it.
    for owner, name, part in (
        (Compiler, "programs", "compiling"),
        (lane, "run_to_end", "steps"),
        (Trainer, "validated", "validation"),
        (Trainer, "test_accuracy", "test images"),
        (Trainer, "begin", "inheritance and batches"),
        (WeightStore, "load", "loading weights"),
        (WeightStore, "save", "saving weights"),
    ):
        setattr(owner, name, _timed(getattr(owner, name), spent, part, within))
    with tempfile.TemporaryDirectory(prefix="jaxevo-breakdown-") as folder:
        os.environ["JAXEVO_CACHE_DIR"] = str(Path(folder) / "cache")
        path, began = Path(folder) / "run", time.perf_counter()
        start_run(path, experiment.settings, experiment.limits, execution, Watcher())
        spent[_REST] = time.perf_counter() - began - sum(spent.values())
        seconds = dict(spent)
        share, finish = experiment.limits.finish_share, None
        if share:
            finish = finish_run(path, share, execution, Watcher())
        run = jaxevo.open(path)
        flops = float(run.history.flops.sum())
        return Breakdown(seconds, flops, run.events, finish.seconds if finish else 0.0, finish.flops if finish else 0.0)


def report(found: Breakdown) -> str:
    """Returns the table and the sentences below it."""
    whole = sum(found.seconds.values())
    parts = sorted(found.seconds.items(), key=lambda part: (part[0] == _REST, -part[1]))
    rows = [(part, f"{seconds:.1f}", f"{seconds / whole:.1%}") for part, seconds in parts]
    rows.append(("evolution", f"{whole:.1f}", "100.0%"))
    steps = found.flops / found.seconds["steps"] / 1e9
    lines = [
        table(("part", "seconds", "share"), rows),
        "",
        f"{found.individuals} individuals, {found.flops / 1e12:.2f} TFLOP: {steps:.1f} GFLOP/s in steps, "
        f"{found.flops / whole / 1e9:.1f} over the evolution, {found.share_of_speed:.0%} of that.",
    ]
    if found.finish_seconds:
        lines.append(
            f"Finish: {found.finish_flops / 1e12:.2f} TFLOP in {found.finish_seconds:.1f} s, "
            f"{found.finish_flops / found.finish_seconds / 1e9:.1f} GFLOP/s; with it the run makes "
            f"{found.share_of_speed_with_finish:.0%} of the steps' GFLOP/s."
        )
    return "\n".join(lines)


def _timed(
    function: Callable[..., Any], spent: defaultdict[str, float], part: str, within: list[float]
) -> Callable[..., Any]:
    """Returns the function, whose seconds are added to a part.

    Those of other parts within it are left out. `within` holds them for each call that has not returned.
    """

    def timed(*arguments: Any, **named: Any) -> Any:
        began = time.perf_counter()
        within.append(0.0)
        try:
            return function(*arguments, **named)
        finally:
            seconds = time.perf_counter() - began
            spent[part] += seconds - within.pop()
            if within:
                within[-1] += seconds

    return timed


if __name__ == "__main__":
    exit_with(main)
