"""An executor that trains nothing: lanes take simulated time, and outcomes are made up from the genotype."""

import contextlib
import hashlib
import heapq
import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from experiments.benchmarks.scale.durations import Durations
from jaxevo.search.births import Birth, Outcome
from jaxevo.spaces.large_scale.architecture import Architecture
from jaxevo.spaces.large_scale.genotype import Genotype
from jaxevo.storage.journal import Record

_NORMAL = statistics.NormalDist()
_LAYERS_TO_LEARN = 8


class SimulatedExecutor:
    """Lanes in simulated time: each takes the birth due first, for as long as the model of training times says.

    All results are a function of the births, the model and the seed.

    Attributes:
        lanes: individuals trained at once.
        now: simulated seconds since the first birth.
        waited: simulated seconds without a birth to train, summed over the lanes.
        spent: real seconds of the simulation itself.
        processor_spent: processor seconds of the simulation itself.
        trained: simulated seconds of every training, by birth id.
    """

    def __init__(
        self,
        lanes: int,
        durations: Durations,
        sigma: float,
        seed: int = 0,
        handed: int = 1,
        begin: Callable[[Sequence[Birth]], object] = lambda births: None,
    ) -> None:
        """Makes the lanes.

        Args:
            lanes: individuals trained at once.
            durations: the model of training times.
            sigma: of the log-normal noise on them.
            seed: for noise and outcomes.
            handed: most records that one call of `finished` returns.
            begin: makes attempts durable, those of one call in one write.
        """
        self.lanes = lanes
        self.lanes_per_accelerator = 1
        self.now = self.waited = self.spent = self.processor_spent = 0.0
        self.trained: dict[int, float] = {}
        self._durations = durations
        self._sigma = sigma
        self._seed = seed
        self._handed = handed
        self._begin_attempts = begin
        self._begun: list[Birth] = []
        self._known: set[Architecture] = set()
        self._waiting: list[tuple[float, int, Birth]] = []
        self._running: list[tuple[float, int, Birth, bool, float]] = []

    def submit(self, births: Iterable[Birth]) -> None:
        """Makes births available; idle lanes begin at once."""
        with self._timed():
            for birth in births:
                heapq.heappush(self._waiting, (birth.due, birth.id, birth))
            self._begin()
        self._note_attempts()

    def finished(self, timeout: float) -> list[Record]:
        """Returns the records that finish next, without waiting in real time."""
        with self._timed():
            records = self._next_records()
        self._note_attempts()
        return records

    def close(self) -> list[Record]:
        """Drops running trainings; returns no records."""
        return []

    def _next_records(self) -> list[Record]:
        records: list[Record] = []
        while self._running and len(records) < self._handed:
            finish, _, birth, new, seconds = heapq.heappop(self._running)
            self.waited += (self.lanes - len(self._running) - 1) * (finish - self.now)
            self.now = finish
            compiling = self._durations.compile_seconds if new else 0.0
            records.append(Record(simulated_outcome(birth, self._seed), 0.5, compiling, seconds, finish, 1, 1))
            self._begin()
        return records

    def _note_attempts(self) -> None:
        """Makes attempts durable, outside `_timed`: that is work of the host."""
        if self._begun:
            self._begin_attempts(self._begun)
        self._begun = []

    @contextlib.contextmanager
    def _timed(self) -> Iterator[None]:
        began, processor_began = time.perf_counter(), time.process_time()
        yield
        self.spent += time.perf_counter() - began
        self.processor_spent += time.process_time() - processor_began

    def _begin(self) -> None:
        while self._waiting and len(self._running) < self.lanes:
            _, _, birth = heapq.heappop(self._waiting)
            new = birth.architecture not in self._known
            self._known.add(birth.architecture)
            noise = self._sigma * _NORMAL.inv_cdf(_uniform(self._seed, "time", birth.id))
            seconds = self._durations.seconds(birth.flops, new, noise)
            self.trained[birth.id] = seconds
            heapq.heappush(self._running, (self.now + seconds, birth.id, birth, new, seconds))
            self._begun.append(birth)


def simulated_outcome(birth: Birth, seed: int) -> Outcome:
    """Returns a made-up outcome of a birth's training."""
    sha256 = hashlib.sha256(f"{seed} {birth.id}".encode()).hexdigest()
    fitness = simulated_fitness(birth.genotype, _uniform(seed, "fitness", birth.id))
    return Outcome(birth.id, fitness, f"{birth.id:06d}-1", sha256)


def simulated_fitness(genotype: Genotype, luck: float) -> float:
    """Returns a made-up fitness in [0, 1], higher for deeper networks and for learning rates close to 0.1.

    Args:
        genotype: of the individual.
        luck: in [0, 1].
    """
    learned = 1 - math.exp(-(1 + genotype.convolutions) / _LAYERS_TO_LEARN)
    missed = abs(math.log2(genotype.learning_rate / 0.1)) / 50
    return min(1.0, max(0.0, 0.1 + 0.8 * learned - missed + 0.05 * (luck - 0.5)))


def _uniform(seed: int, purpose: str, birth_id: int) -> float:
    """Returns a birth's random number for a purpose, above 0 and below 1."""
    digest = hashlib.blake2b(f"{seed} {purpose} {birth_id}".encode(), digest_size=6).digest()
    return (int.from_bytes(digest, "big") + 0.5) / 2**48
