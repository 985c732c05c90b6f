"""A row: one evolution under a budget, scored; and the file that keeps finished rows."""

import dataclasses
import hashlib
import json
import os
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.entry import prepare_cpu
from experiments.json_lines import append_line
from experiments.levers.held_out import held_out
from jaxevo.settings import Execution, Limits, Settings

if TYPE_CHECKING:
    from jaxevo.session.progress import Progress

_DEFAULTS = dataclasses.asdict(Settings())


@dataclass(frozen=True)
class Budget:
    """The end of a row: at whatever is reached first.

    Attributes:
        cpu_seconds: of the whole process, with its children.
        flops: of all individuals together, None for no limit.
    """

    cpu_seconds: float
    flops: float | None = None


@dataclass(frozen=True)
class Wanted:
    """A row to run.

    Attributes:
        arm: its name.
        settings: with the seed.
        budget: at which it ends.
    """

    arm: str
    settings: Settings
    budget: Budget

    @property
    def sha256(self) -> str:
        """The hash of settings and budget. A row of other settings under the same name is another row."""
        fields = [dataclasses.asdict(self.settings), dataclasses.asdict(self.budget)]
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Returns the row's name, seed, budget and settings other than the defaults, as JSON values."""
        changes = {name: value for name, value in dataclasses.asdict(self.settings).items() if value != _DEFAULTS[name]}
        changes.pop("seed", None)
        return {
            "arm": self.arm,
            "seed": self.settings.seed,
            "budget": dataclasses.asdict(self.budget),
            "settings": changes,
            "sha256": self.sha256,
        }


@dataclass(frozen=True)
class Result:
    """The result of a row.

    Attributes:
        accuracy: of the best individual by validation, on the images held out, in [0, 1].
        validation_accuracy: of the best individual.
        parameters: its trainable parameters.
        generations: its ancestors.
        events: individuals trained.
        flops: of all of them.
        cpu_seconds: of the whole process when evolution stopped.
        wall_seconds: of the session.
        compile_share: share of compiling in the lane's time.
        reached_flops: True if the row ended at its FLOPs, None if these were not limited.
        fingerprint: of the run after `events` events, which the settings reproduce on the same machine.
    """

    accuracy: float
    validation_accuracy: float
    parameters: int
    generations: int
    events: int
    flops: int
    cpu_seconds: float
    wall_seconds: float
    compile_share: float
    reached_flops: bool | None
    fingerprint: str


class Rows:
    """Finished rows in a JSON lines file, one appended at a time."""

    def __init__(self, path: Path) -> None:
        """Reads the file, if there is one; a last line that a crash cut off is left out."""
        self._path = path
        self._found: dict[tuple[str, str], Result] = {}
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        for line in (line for line in lines if line.endswith("\n")):
            fields = json.loads(line)
            self._found[fields["arm"], fields["sha256"]] = Result(**fields["result"])

    def find(self, wanted: Wanted) -> Result | None:
        """Returns the result of a row, None if it is not finished."""
        return self._found.get((wanted.arm, wanted.sha256))

    def add(self, wanted: Wanted, result: Result) -> None:
        """Appends a finished row."""
        append_line(self._path, wanted.to_json() | {"result": dataclasses.asdict(result)})
        self._found[wanted.arm, wanted.sha256] = result


def evolve(wanted: Wanted, core: int | None) -> Result:
    """Evolves a row in this process, which must be fresh, and scores it.

    Args:
        wanted: the row.
        core: to stay on, None for any.

    Raises:
        KeyboardInterrupt: if a signal stopped it.
        RuntimeError: if no individual was trained within the budget.
    """
    if core is not None:
        os.sched_setaffinity(0, {core})
    execution = Execution(lanes=1)
    prepare_cpu(execution)
    import jaxevo
    from jaxevo.session.progress import INTERRUPTED, Watcher
    from jaxevo.session.run import start_run

    class Watchdog(Watcher):
        """Stops the run by a signal once the CPU seconds are used up, as a person would with Ctrl-C."""

        spent = 0.0

        def progressed(self, progress: "Progress") -> None:
            if self.spent < wanted.budget.cpu_seconds:
                self.spent = cpu_seconds()
                if self.spent >= wanted.budget.cpu_seconds:
                    signal.raise_signal(signal.SIGTERM)

    watchdog = Watchdog()
    with tempfile.TemporaryDirectory(prefix="jaxevo-levers-") as folder:
        os.environ["JAXEVO_CACHE_DIR"] = str(Path(folder) / "cache")
        limits = Limits(max_flops=wanted.budget.flops)
        began = time.perf_counter()
        ended = start_run(Path(folder) / "run", wanted.settings, limits, execution, watchdog)
        seconds, used = time.perf_counter() - began, cpu_seconds()
        if ended.stop_reason == INTERRUPTED and watchdog.spent < wanted.budget.cpu_seconds:
            raise KeyboardInterrupt
        run = jaxevo.open(Path(folder) / "run")
        state = ended.progress.state
        if state.best_trained is None:
            raise RuntimeError(f"{wanted.arm}: no individual was trained within {wanted.budget.cpu_seconds:g} s")
        best = run.best
        return Result(
            accuracy=best.evaluate(*held_out()),
            validation_accuracy=best.individual.accuracy,
            parameters=int(run.history.set_index("id").parameters[best.individual.id]),
            generations=len(run.lineage(best.individual.id)) - 1,
            events=state.events,
            flops=state.total_flops,
            cpu_seconds=used,
            wall_seconds=seconds,
            compile_share=ended.progress.compile_share,
            reached_flops=None if wanted.budget.flops is None else ended.stop_reason != INTERRUPTED,
            fingerprint=state.fingerprint,
        )


def cpu_seconds() -> float:
    """Returns the CPU seconds of this process since its start and of its children that have ended."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system
