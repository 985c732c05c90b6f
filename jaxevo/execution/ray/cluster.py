"""Train births on the workers of a cluster.

The host decides everything: the worker of each birth, when to give a worker up, when to replace it. A birth has one
live attempt at a time, and a worker that was given up is never heard again, so that no late answer reaches the run.
"""

import contextlib
import dataclasses
import math
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any

from jaxevo.execution.ray.client import (
    Node,
    WorkerLostError,
    answer_of,
    connect,
    disconnect,
    end_worker,
    head_answers,
    living_nodes,
    most_workers,
    ready,
    start_worker,
    workers_per_accelerator,
)
from jaxevo.execution.worker import Assignment, Joined, Report
from jaxevo.search.births import Birth
from jaxevo.search.in_flight import by_due
from jaxevo.search.space import SearchSpace
from jaxevo.search.state_json import birth_to_json
from jaxevo.settings import Execution
from jaxevo.storage.attempts import AttemptKeeper
from jaxevo.storage.journal import Record

# With two births per lane a worker compiles ahead, and its lanes need not wait for the host.
_BIRTHS_A_LANE = 2
# Seconds between two queries for the nodes of the cluster.
_NODES_SECONDS = 2.0
# Ray kills the host's process after 60 seconds without a head, so the session must end earlier.
_HEAD_SECONDS = 20.0
# Seconds between two reports of a worker if no training finishes.
_REPORT_SECONDS = 5.0
# The same in a finish, whose steps the user sees.
_FINISH_REPORT_SECONDS = 1.0
# A node whose workers keep failing gets the next one after 1, 2, 4, ... seconds, at most these.
_LONGEST_PAUSE_SECONDS = 60.0
# A worker that has not joined by then hangs or waits for resources; it is replaced.
_JOIN_SECONDS = 900.0
# A node gets no more workers after so many in a row that died before they joined, as where memory is too small.
_MOST_FAILED_STARTS = 5
# Seconds until the user is told that no worker has joined yet.
_NOTICE_SECONDS = 60.0
# A signal must be answered within five seconds, of which a worker may take three (see `LocalExecutor`).
_PATIENCE_SECONDS = 3.5


class ClusterError(RuntimeError):
    """The cluster cannot carry out the run; the message says why and what to do."""


@dataclasses.dataclass(eq=False)
class _Hired:
    """A worker that the host started.

    Attributes:
        actor: Ray's handle.
        node: node on which it runs.
        answer: pending answer: to the assignment first, then its next report.
        name: its name, for the user.
        heard: time of its last answer, or of its start, on the host's monotonic clock.
        lanes: number of its lanes, 0 until it has joined.
        lanes_per_accelerator: those of its lanes that share an accelerator; 1 on CPU.
        births: unfinished births that it was sent, with the numbers of their attempts.
        architectures: all architectures that it was sent, and so has compiled.
    """

    actor: Any
    node: Node
    answer: Any
    name: str
    heard: float
    lanes: int = 0
    lanes_per_accelerator: int = 1
    births: dict[int, tuple[Birth, int]] = dataclasses.field(default_factory=dict)
    architectures: set[Hashable] = dataclasses.field(default_factory=set)


class ClusterExecutor:
    """An executor on the workers of a Ray cluster.

    Attributes:
        step: steps of a finish that are done, None before it begins and for births.
    """

    def __init__(
        self,
        assignment: Assignment,
        space: SearchSpace[Any],
        execution: Execution,
        attempts: AttemptKeeper,
        notice: Callable[[str], None],
    ) -> None:
        """Connects to the cluster, or starts Ray on this machine. `finished` starts the workers.

        Args:
            assignment: facts about the session, for the workers.
            space: search space of the run.
            execution: address of the cluster, number and resources of the workers.
            attempts: makes attempts at births durable before trainings start.
            notice: called with sentences for the user.
        """
        connect(execution)
        self._assignment = assignment
        self._again = "'jaxevo finish'" if assignment.finishing else "'jaxevo resume'"
        self._space = space
        self._execution = execution
        self._attempts = attempts
        self._notice = notice
        self._waiting: list[Birth] = []
        self._records: list[Record] = []
        self._workers: list[_Hired] = []
        self._nodes: list[Node] = []
        self._nodes_asked = self._head_answered = time.monotonic() - _NODES_SECONDS
        self._notice_due = time.monotonic() + _NOTICE_SECONDS
        self._refused: dict[str, str] = {}
        # In a row, by node: workers that were lost before a record, and before they joined.
        self._failures: Counter[str] = Counter()
        self._unjoined: Counter[str] = Counter()
        self._not_before: dict[str, float] = {}
        # A lease must span several reports.
        often = _FINISH_REPORT_SECONDS if assignment.finishing else _REPORT_SECONDS
        self._report_seconds = min(often, execution.lease_seconds / 4)
        self.step: int | None = None

    @property
    def lanes(self) -> int:
        """Number of lanes of all workers that have joined."""
        return sum(worker.lanes for worker in self._workers)

    @property
    def lanes_per_accelerator(self) -> int:
        """Lanes that share an accelerator, on the node where most do; 1 before a worker has joined.

        Workers that ask for a part of an accelerator share it.
        """
        joined = Counter(worker.node.id for worker in self._workers if worker.lanes)
        return max(
            (
                worker.lanes_per_accelerator
                * min(joined[worker.node.id], workers_per_accelerator(worker.node, self._execution))
                for worker in self._workers
                if worker.lanes
            ),
            default=1,
        )

    def submit(self, births: Iterable[Birth]) -> None:
        """Queues births for the workers, which get them in due order."""
        self._waiting = sorted((*self._waiting, *births), key=by_due)
        self._send_out()

    def finished(self, timeout: float) -> list[Record]:
        """Returns the records of finished trainings, waiting at most `timeout` seconds for the first.

        Raises:
            AttemptsError: if the training of a birth has killed its worker too often.
            ClusterError: if no worker equals the machine that began the run, or the cluster is gone.
        """
        if self._know_the_nodes():
            self._hire_where_needed()
            self._listen(timeout)
            self._give_up_the_silent()
            self._send_out()
        else:
            time.sleep(timeout)
        records, self._records = self._records, []
        return records

    def close(self) -> list[Record]:
        """Drops the running trainings, kills the workers, and returns the records of trainings that still finished.

        A cluster that this process only connected to keeps running.
        """
        if head_answers():  # Otherwise Ray would wait for it.
            try:
                self._records += self._last_words()
            finally:
                for worker in list(self._workers):
                    self._end(worker)
                disconnect()
        records, self._records = self._records, []
        return records

    def _last_words(self) -> list[Record]:
        """Makes the workers drop their trainings, and returns the records that they still had."""
        joined = [worker for worker in self._workers if worker.lanes]
        answers = [worker.actor.close.remote() for worker in joined] + [worker.answer for worker in joined]
        records: list[Record] = []
        for answer in ready(answers, _PATIENCE_SECONDS, len(answers)) if answers else ():
            # The error of a worker, such as a full disk, was raised when it was heard, or comes too late.
            with contextlib.suppress(WorkerLostError, ValueError, OSError):
                last = answer_of(answer)
                records += last.records if isinstance(last, Report) else last
        return records

    def _know_the_nodes(self) -> bool:
        """Updates the nodes now and then; returns False if the head does not answer, so that Ray must not be called.

        Raises:
            ClusterError: if the head has not answered for too long.
        """
        now = time.monotonic()
        if now - self._nodes_asked >= _NODES_SECONDS:
            if head_answers():
                self._nodes = living_nodes()
                self._nodes_asked = self._head_answered = now
            elif now - self._head_answered > min(_HEAD_SECONDS, self._execution.lease_seconds):
                raise ClusterError(
                    "the head of the Ray cluster is gone: restart the cluster, then go on with "
                    f"{self._again}, with or without it. Finished individuals are kept"
                )
        return now - self._nodes_asked < _NODES_SECONDS

    def _hire_where_needed(self) -> None:
        """Starts workers on new nodes, and in place of lost ones."""
        for node in self._places():
            self._workers.append(self._hire(node))
        able = [node for node in self._nodes if most_workers(node, self._execution) > 0]
        if not self._workers and able and all(node.id in self._refused for node in able):
            raise ClusterError(
                "no worker is like the machine that the run began on, or none starts "
                f"({'; '.join(sorted(set(self._refused.values())))}): go on with {self._again} on such machines. "
                "Finished individuals are kept"
            )

    def _places(self) -> Iterator[Node]:
        """Yields a node for each worker to start now, the least crowded node first."""
        wanted = self._execution.ray_workers
        crowds = {node.id: sum(worker.node.id == node.id for worker in self._workers) for node in self._nodes}
        while wanted is None or sum(crowds.values()) < wanted:
            free = [node for node in self._nodes if self._has_room(node, crowds[node.id])]
            if not free:
                return
            node = min(free, key=lambda node: crowds[node.id])
            crowds[node.id] += 1
            yield node

    def _has_room(self, node: Node, workers: int) -> bool:
        most = most_workers(node, self._execution)
        allowed = most if self._execution.ray_workers is not None else min(most, 1)
        rested = time.monotonic() >= self._not_before.get(node.id, 0.0)
        return workers < allowed and rested and node.id not in self._refused

    def _hire(self, node: Node) -> _Hired:
        actor = start_worker(node, self._execution)
        answer = actor.join.remote(self._assignment)
        return _Hired(actor, node, answer, f"a worker on {node.address}", time.monotonic())

    def _listen(self, timeout: float) -> None:
        """Handles the answers of workers, waiting at most `timeout` seconds for the first."""
        owed = {worker.answer: worker for worker in self._workers}
        if not owed:
            time.sleep(timeout)
            return
        for answer in ready(list(owed), timeout):
            self._hear(owed[answer])

    def _hear(self, worker: _Hired) -> None:
        try:
            answer: Joined | Report = answer_of(worker.answer)
        except WorkerLostError as error:
            self._lose(worker, str(error))
            if not worker.lanes:
                self._count_failed_start(worker.node.id, str(error))
            return
        worker.heard = time.monotonic()
        if isinstance(answer, Joined):
            self._welcome(worker, answer)
        else:
            self._take(worker, answer)
        if worker in self._workers:
            worker.answer = worker.actor.report.remote(self._report_seconds)

    def _welcome(self, worker: _Hired, joined: Joined) -> None:
        worker.name, worker.lanes = f"the worker on {joined.name}", joined.lanes
        if joined.refusal:
            self._notice(f"{worker.name}, is refused: {joined.refusal}")
            self._refused[worker.node.id] = joined.refusal
            self._end(worker)
        else:
            self._unjoined.pop(worker.node.id, None)
            worker.lanes_per_accelerator = joined.lanes_per_accelerator
            self._notice(f"{worker.name}, joined; lanes: {joined.lanes}")

    def _take(self, worker: _Hired, report: Report) -> None:
        self.step = report.step
        for record in report.records:
            del worker.births[record.outcome.id]
            self._records.append(record)
            self._failures.pop(worker.node.id, None)
        if report.silent_seconds > self._execution.lease_seconds:
            self._lose(worker, f"a training gave no sign of life for {report.silent_seconds:.0f} seconds")

    def _give_up_the_silent(self) -> None:
        """Gives up workers whose lease ran out: they hang or cannot be reached."""
        now, lease = time.monotonic(), self._execution.lease_seconds
        for worker in list(self._workers):
            if now - worker.heard > (lease if worker.lanes else max(lease, _JOIN_SECONDS)):
                self._lose(worker, f"it gave no sign of life for {now - worker.heard:.0f} seconds")
        if self.lanes == 0 and now > self._notice_due:
            self._notice("no worker has joined yet: 'ray status' shows what the cluster has and what is in use")
            self._notice_due = math.inf

    def _lose(self, worker: _Hired, reason: str) -> None:
        """Gives a worker up: its births are trained elsewhere, and another worker takes its place."""
        self._notice(f"{worker.name}, is lost ({reason}): another takes its place")
        self._end(worker)
        for birth, number in worker.births.values():
            self._attempts.lost(birth.id, number, reason)
        self._waiting = sorted((*self._waiting, *(birth for birth, _ in worker.births.values())), key=by_due)
        self._failures[worker.node.id] += 1
        pause = min(2.0 ** (self._failures[worker.node.id] - 1), _LONGEST_PAUSE_SECONDS)
        self._not_before[worker.node.id] = time.monotonic() + pause

    def _count_failed_start(self, node: str, reason: str) -> None:
        """Counts a worker that died before it joined; one that waits for resources in use elsewhere does not die."""
        self._unjoined[node] += 1
        if self._unjoined[node] >= _MOST_FAILED_STARTS:
            self._refused[node] = f"{_MOST_FAILED_STARTS} workers in a row did not start: {reason}"

    def _end(self, worker: _Hired) -> None:
        self._workers.remove(worker)
        end_worker(worker.actor)

    def _send_out(self) -> None:
        """Sends waiting births, in due order, to workers with room, once their attempts are durable."""
        sent: list[tuple[_Hired, Birth]] = []
        # A birth whose training killed its worker before is trained alone, so that no other is blamed for the next
        # death. A worker gets no new births until it is empty for it.
        emptied: set[_Hired] = set()
        loads = {worker: len(worker.births) for worker in self._workers if worker.lanes}
        failures = {worker: self._failures[worker.node.id] for worker in loads}
        # On a node that fails with every birth, an innocent one would collect deaths.
        sound = [worker for worker in loads if failures[worker] == min(failures.values())]
        for birth in self._waiting:
            alone = self._attempts.suspicious(birth.id)
            able = [worker for worker in (sound if alone else loads) if worker not in emptied]
            open_ = [worker for worker in able if self._takes(worker, loads[worker], alone)]
            if open_:
                worker = min(open_, key=lambda one: _preference(one, failures[one], loads[one], birth.architecture))
                sent.append((worker, birth))
                loads[worker] += 1
            elif not alone:
                break
            if alone and able:
                emptied.add(worker if open_ else min(able, key=loads.__getitem__))
        numbers = self._attempts.begin([birth for _, birth in sent]) if sent else []
        for (worker, birth), number in zip(sent, numbers, strict=True):
            self._waiting.remove(birth)
            worker.births[birth.id] = (birth, number)
            worker.architectures.add(birth.architecture)
            worker.actor.submit.remote([(birth_to_json(birth, self._space), number)])

    def _takes(self, worker: _Hired, load: int, alone: bool) -> bool:
        if alone:
            return load == 0
        return load < _BIRTHS_A_LANE * worker.lanes and not any(map(self._attempts.suspicious, worker.births))


def _preference(worker: _Hired, failures: int, load: int, compiled: Hashable) -> tuple[int, bool, bool, float]:
    """Returns a sort key of a worker for a birth: a sound node, a free lane, a compiled program, a small load."""
    return failures, load >= worker.lanes, compiled not in worker.architectures, load / worker.lanes
