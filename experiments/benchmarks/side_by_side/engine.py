"""The side `jaxevo`: compiler, lanes, journal and weights as in a run, without the evolution."""

import time
from collections import deque
from pathlib import Path

import jax

from experiments.benchmarks.side_by_side.work import Trained, Work
from jaxevo.data import Dataset, load
from jaxevo.doors.opening import built_in
from jaxevo.execution.local import LocalExecutor
from jaxevo.execution.waiting import BIRTHS_A_LANE
from jaxevo.networks.compilation import use_persistent_cache
from jaxevo.search.births import Birth, derive
from jaxevo.search.space import Task
from jaxevo.settings import Execution
from jaxevo.storage.attempts import Attempts
from jaxevo.storage.journal import Journal, JournalContent, Record
from jaxevo.storage.workdir import Workdir

_POLL_SECONDS = 0.25


def train(work: Work, began: float, folder: Path) -> Trained:
    """Trains every individual.

    Args:
        work: the individuals to train.
        began: start of the process, by `time.perf_counter`.
        folder: an empty folder for the cache of executables, the journal and the weights.
    """
    use_persistent_cache(folder / "executables")
    dataset = load(work.dataset)
    jax.local_devices()  # Starts the backend.
    started = time.perf_counter()
    records = _train(work, dataset, Workdir(folder))
    seconds = time.perf_counter() - started
    outcomes = {record.outcome.id: record.outcome for record in records}
    ordered = [outcomes[number] for number in range(len(work.genotypes))]
    return Trained(
        seconds,
        started - began,
        tuple(None if outcome.failure else outcome.accuracy for outcome in ordered),
        {
            "compile_seconds": sum(record.compile_seconds for record in records),
            "train_seconds": sum(record.train_seconds for record in records),
        },
    )


def _train(work: Work, dataset: Dataset, workdir: Workdir) -> list[Record]:
    """Returns the records in the order in which they finished, all durable.

    There are `BIRTHS_A_LANE` births in flight for each lane, with which lanes of a run hardly wait.
    """
    with Journal(workdir.journal) as journal:
        attempts = Attempts(journal, JournalContent(), session=1, max_deaths=1)
        executor = LocalExecutor(work.settings, built_in(work.settings), dataset, workdir, Execution(), 1, attempts)
        untrained = deque(_births(work, dataset))
        records: list[Record] = []
        free = BIRTHS_A_LANE * executor.lanes
        while len(records) < len(work.genotypes):
            executor.submit([untrained.popleft() for _ in range(min(free, len(untrained)))])
            finished = executor.finished(_POLL_SECONDS)
            if finished:
                journal.append(finished)
            records += finished
            free = len(finished)
        executor.close()
    return records


def _births(work: Work, dataset: Dataset) -> list[Birth]:
    space = built_in(work.settings).space
    task = Task(dataset.image_shape, dataset.num_classes, len(dataset.validation.labels))
    return [
        Birth(
            number, None, None, genotype, None, float(number), **derive(genotype, work.settings, space, task)._asdict()
        )
        for number, genotype in enumerate(work.genotypes)
    ]
