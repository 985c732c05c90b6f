"""Measure births of a search space in which nothing is trained, such as a table of known results."""

import time
from collections.abc import Iterable
from typing import Any

from jaxevo.search.births import Birth, Outcome
from jaxevo.search.in_flight import by_due
from jaxevo.search.randomness import Purpose, keyed_generator
from jaxevo.search.space import SearchSpace, Task
from jaxevo.storage.attempts import AttemptKeeper
from jaxevo.storage.journal import Record


class MeasuringExecutor:
    """An executor that asks the search space for accuracies, in this process.

    Attributes:
        lanes: 1.
        lanes_per_accelerator: 1.
    """

    lanes = lanes_per_accelerator = 1

    def __init__(self, space: SearchSpace[Any], task: Task, seed: int, session: int, attempts: AttemptKeeper) -> None:
        """Makes the executor.

        Args:
            space: measures its genotypes.
            task: of the run.
            seed: of the run.
            session: number of the session, for the records.
            attempts: makes attempts durable before they begin.
        """
        self._space = space
        self._task = task
        self._seed = seed
        self._session = session
        self._attempts = attempts
        self._waiting: list[Birth] = []

    def submit(self, births: Iterable[Birth]) -> None:
        """Queues births, which are measured in due order."""
        self._waiting = sorted((*self._waiting, *births), key=by_due)

    def finished(self, timeout: float) -> list[Record]:
        """Measures births that wait, for `timeout` seconds or one of them, and returns their records."""
        records: list[Record] = []
        began = time.monotonic()
        # More and more at once, since making attempts durable takes longer than to look into a table.
        together = 1
        while self._waiting and (not records or time.monotonic() < began + timeout):
            births, self._waiting = self._waiting[:together], self._waiting[together:]
            records += [self._record(*one) for one in zip(births, self._attempts.begin(births), strict=True)]
            together *= 2
        return records

    def close(self) -> list[Record]:
        """Drops the births that wait; returns no records."""
        self._waiting = []
        return []

    def _record(self, birth: Birth, attempt: int) -> Record:
        began = time.perf_counter()
        accuracy = measured(self._space, birth, self._task, self._seed)
        seconds = time.perf_counter() - began
        return Record(Outcome(birth.id, accuracy, None, None), None, 0.0, seconds, time.time(), self._session, attempt)


def measured(space: SearchSpace[Any], birth: Birth, task: Task, seed: int) -> float:
    """Returns the validation accuracy of a birth, as the space measures it for the run's seed and the birth's id."""
    generator = keyed_generator(seed, birth.id, Purpose.MEASUREMENT)
    return float(space.measure(birth.genotype, generator, task))
