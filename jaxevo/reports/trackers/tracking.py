"""Log the events of a session, its best networks and its result to trackers."""

import dataclasses
import importlib
import importlib.util
import shlex
import statistics
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from jaxevo.doors.trust import Trust
from jaxevo.reports.trackers.picture import network_image
from jaxevo.reports.trackers.tracker import Tracker
from jaxevo.search.evolution import EvolutionState
from jaxevo.search.population import Individual
from jaxevo.session.progress import Progress, Relay, Watcher
from jaxevo.settings import tracker_names
from jaxevo.storage.manifest import read_manifest
from jaxevo.storage.workdir import Workdir


class _Kind(NamedTuple):
    package: str
    module: str
    tracker: str


_KINDS = {
    "tensorboard": _Kind("tensorboardX", "jaxevo.reports.trackers.tensorboard", "TensorBoard"),
    "wandb": _Kind("wandb", "jaxevo.reports.trackers.weights_and_biases", "WeightsAndBiases"),
}


class Tracking(Relay):
    """A watcher that logs to trackers, and passes everything on to another watcher.

    Trackers never end a run: after an error one is closed, which is told in one notice.
    """

    def __init__(self, watcher: Watcher, workdir: Path, log: str | None) -> None:
        """Checks that the packages are installed; opens the trackers once the run has begun.

        Args:
            watcher: the other watcher.
            workdir: work folder of the run.
            log: `Execution.log`.

        Raises:
            ValueError: if the package of a tracker is not installed.
        """
        super().__init__(watcher)
        self._workdir = workdir
        self._names = tracker_names(log)
        self._trackers: dict[str, Tracker] = {}
        self._opened = False
        self._progress: Progress | None = None
        self._drawn: Individual | None = None
        self._undrawable = False
        for name in self._names:
            package = _KINDS[name].package
            if importlib.util.find_spec(package) is None:
                raise ValueError(f"log is {log!r}, but {package} is not installed: pip install 'jaxevo[{name}]'")

    def __enter__(self) -> Self:
        """Returns itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Closes the trackers, after an error or a signal too."""
        self._each(lambda tracker: tracker.close())
        self._trackers = {}

    def progressed(self, progress: Progress) -> None:
        """Opens the trackers at the first progress."""
        self._open()
        self._progress = progress
        super().progressed(progress)

    def told(self, state: EvolutionState, individual: Individual) -> bool:
        """Logs the numbers of an event, and the best network if it is new."""
        progress = self._progress
        if self._trackers and progress is not None:
            values = scalars_of(state, individual, progress)
            self._each(lambda tracker: tracker.scalars(state.events, values))
            if state.best_trained is not None and state.best_trained != self._drawn:
                self._drawn = state.best_trained
                self._draw(state.best_trained, state.events, progress)
        return super().told(state, individual)

    def ended(self, trust: Trust) -> None:
        """Logs the result of the run, once `result.json` is written, and its report, which is written for that.

        Args:
            trust: whose code may run.
        """
        self._open()
        if not self._trackers:
            return
        from jaxevo.reports.run import Run

        try:
            run = Run(self._workdir, trust_code=trust.code, trust_doors=shlex.join(trust.doors) or None)
            report = run.report()
        except Exception as error:
            # A space of the user's may raise anything.
            self.notice(f"log: the report cannot be written, and is not logged: {error}")
            return
        self._each(lambda tracker: tracker.result(run.events, run.result, report))

    def _open(self) -> None:
        """Opens the trackers if that was not done yet."""
        if self._opened or not self._names:
            return
        self._opened = True
        settings = dataclasses.asdict(read_manifest(Workdir(self._workdir)).settings)
        for name in self._names:
            kind = _KINDS[name]
            try:
                tracker: Tracker = getattr(importlib.import_module(kind.module), kind.tracker)(self._workdir, settings)
            except Exception as error:
                self._fail(name, error)
            else:
                self._trackers[name] = tracker
                self.announce(f"logging to {name}: {tracker.place}")

    def _draw(self, best: Individual, event: int, progress: Progress) -> None:
        if self._undrawable:
            return
        try:
            drawing = progress.space.drawing(best.genotype, progress.task)
            image = network_image(drawing, f"individual {best.id}: {best.accuracy:.1%}")
        except Exception as error:
            # A space of the user's may raise anything, and Pillow may lack fonts.
            self._undrawable = True
            self.notice(f"log: networks cannot be drawn, and no picture is logged: {error}")
            return
        self._each(lambda tracker: tracker.picture(event, "best/network", image))

    def _each(self, act: Callable[[Tracker], None]) -> None:
        """Calls a function with every tracker; one that raises is left out from then on."""
        for name, tracker in list(self._trackers.items()):
            try:
                act(tracker)
            except Exception as error:
                del self._trackers[name]
                self._fail(name, error)

    def _fail(self, name: str, error: Exception) -> None:
        self.notice(f"log: {name} failed ({type(error).__name__}: {error}). The run goes on, and logs no more to it")


def scalars_of(state: EvolutionState, told: Individual, progress: Progress) -> dict[str, float]:
    """Returns the numbers of an event, by name; of failed individuals there is no fitness.

    Args:
        state: state after the event.
        told: the individual that was told.
        progress: progress at the event.
    """
    living = [one for one in state.population if one.failure is None]
    values: dict[str, float] = {
        "population/size": len(state.population),
        "run/individuals": state.events,
        "run/flops": state.total_flops,
        "run/virtual_seconds": state.clock,
        "session/individuals_per_hour": progress.individuals_per_hour,
        "session/compile_share": progress.compile_share,
    }
    for name, few in (("best/", [state.best_trained]), ("told/", [told]), ("population/mean_", living)):
        values |= _means(name, [one for one in few if one is not None and one.failure is None])
    return values


def _means(name: str, individuals: list[Individual]) -> dict[str, float]:
    if not individuals:
        return {}
    return {
        f"{name}fitness": statistics.fmean(one.fitness for one in individuals),
        f"{name}accuracy": statistics.fmean(one.accuracy for one in individuals),
    }
