"""The workers of a Ray cluster, as the host sees them.

The host decides everything: which birth goes to which worker, when one is given up, when another takes its place. Ray
starts processes and carries births and records; its own retries are off. A birth has one attempt alive at a time, and
a worker that was given up is never listened to again: so no late answer can reach the run.
"""

import contextlib
import dataclasses
import logging
import math
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax

from jaxevo.attempts import Attempts
from jaxevo.evolution import Birth
from jaxevo.execution.worker import Assignment, Joined, Report, Worker
from jaxevo.genotype import Architecture, ImageShape, architecture
from jaxevo.in_flight import by_due
from jaxevo.journal import Record
from jaxevo.settings import Execution

try:
    import ray
except ImportError as missing:
    raise ValueError("executor is 'ray', but Ray is not installed: pip install 'jaxevo[ray]'") from missing

# A worker compiles ahead what it holds, and its lanes do not wait for the host: two births a lane.
_BIRTHS_A_LANE = 2
# How often the nodes of the cluster are asked for.
_NODES_SECONDS = 2.0
# Ray ends the host's process, unasked, when its head was away for 60 seconds: before that the run ends by itself.
_HEAD_SECONDS = 20.0
_CONNECT_SECONDS = 2.0
# How often a worker that has nothing else to say gives a sign of life.
_REPORT_SECONDS = 5.0
# A node whose workers keep failing gets the next one after 1, 2, 4, ... seconds, at most so many.
_LONGEST_PAUSE_SECONDS = 60.0
_FIRST_WORKER_SECONDS = 300.0
# A worker that has not joined by then hangs, or waits for what others use: it is started anew.
_JOIN_SECONDS = 900.0
# When the user is told that no worker has joined yet.
_NOTICE_SECONDS = 60.0
# A signal is to be answered within five seconds, of which a worker may take three (see LocalExecutor).
_PATIENCE_SECONDS = 3.5
# Nothing travels through Ray's object store; this is little more than the least that Ray takes.
_OBJECT_STORE_BYTES = 100 * 2**20
_ACCELERATORS = ("GPU", "TPU")
# A worker takes births while another call waits for something to report.
_CALLS_AT_ONCE = 4

_connected_here = False


class ClusterError(RuntimeError):
    """The cluster cannot carry the run out; the message says why and what to do."""


@dataclasses.dataclass(frozen=True)
class _Node:
    """A machine of the cluster.

    Attributes:
        id: Ray's name for it.
        address: of its network interface.
        resources: all that it has, used or not.
    """

    id: str
    address: str
    resources: dict[str, float]


@dataclasses.dataclass(eq=False)
class _Hired:
    """A worker that was started.

    Attributes:
        actor: Ray's handle.
        node: where it runs.
        answer: what it owes the host: to the assignment first, then its next report.
        name: for the user.
        heard: when it last answered, or was started, on the host's monotonic clock.
        lanes: individuals that it trains at once, 0 until it has joined.
        births: what it was sent and has not finished, with the numbers of the attempts.
        architectures: what it was ever sent, and so has compiled.
    """

    actor: Any
    node: _Node
    answer: Any
    name: str
    heard: float
    lanes: int = 0
    births: dict[int, tuple[Birth, int]] = dataclasses.field(default_factory=dict)
    architectures: set[Architecture] = dataclasses.field(default_factory=set)


class RayExecutor:
    """Trains births on the workers of a Ray cluster."""

    def __init__(
        self,
        assignment: Assignment,
        execution: Execution,
        image_shape: ImageShape,
        attempts: Attempts,
        notice: Callable[[str], None],
    ) -> None:
        """Connects to the cluster, or starts a Ray on this machine. Workers are started by `finished`.

        Args:
            assignment: what the workers must know of the session.
            execution: where the cluster is, and what workers it is to have.
            image_shape: of the data set.
            attempts: to begin trainings with.
            notice: takes a sentence for the user.
        """
        connect(execution)
        self._assignment = assignment
        self._execution = execution
        self._shape = image_shape
        self._attempts = attempts
        self._notice = notice
        self._waiting: list[Birth] = []
        self._records: list[Record] = []
        self._workers: list[_Hired] = []
        self._nodes: list[_Node] = []
        self._nodes_asked = self._head_answered = time.monotonic() - _NODES_SECONDS
        self._notice_due = time.monotonic() + _NOTICE_SECONDS
        self._refused: dict[str, str] = {}
        self._failures: dict[str, int] = {}
        self._not_before: dict[str, float] = {}
        # Several signs of life must fit into a lease.
        self._report_seconds = min(_REPORT_SECONDS, self._execution.lease_seconds / 4)

    @property
    def lanes(self) -> int:
        """Individuals that the workers that have joined train at once."""
        return sum(worker.lanes for worker in self._workers)

    @property
    def busy(self) -> bool:
        """Returns False: compilations of the workers end with their processes."""
        return False

    def submit(self, births: Iterable[Birth]) -> None:
        """Makes births available to the workers, which get them in due order."""
        self._waiting = sorted((*self._waiting, *births), key=by_due)
        self._send_out()

    def finished(self, timeout: float) -> list[Record]:
        """Returns the records of trainings that finished, waiting at most `timeout` seconds for the first.

        Raises:
            AttemptsError: for a birth whose training has killed its worker too often.
            ClusterError: if no worker is like where the run began, or the cluster is gone.
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
        """Drops the running trainings, ends the workers, and returns the records of those that finished meanwhile.

        A cluster that this process only connected to goes on without the workers.
        """
        if _head_answers():  # Else Ray would wait for it.
            self._records += self._last_words()
            for worker in list(self._workers):
                self._end(worker)
            disconnect()
        records, self._records = self._records, []
        return records

    def _last_words(self) -> list[Record]:
        """Has the workers drop their trainings, and returns the records that they still had."""
        joined = [worker for worker in self._workers if worker.lanes]
        answers = [worker.actor.close.remote() for worker in joined] + [worker.answer for worker in joined]
        ready, _ = ray.wait(answers, num_returns=len(answers), timeout=_PATIENCE_SECONDS) if answers else ([], [])
        records: list[Record] = []
        for reference in ready:
            with contextlib.suppress(ray.exceptions.RayError):
                answer = ray.get(reference)
                records += answer.records if isinstance(answer, Report) else answer
        return records

    def _know_the_nodes(self) -> bool:
        """Asks at times which nodes the cluster has; returns False where nobody answers, and no call may be made.

        Raises:
            ClusterError: if nobody has answered for long.
        """
        now = time.monotonic()
        if now - self._nodes_asked >= _NODES_SECONDS:
            if _head_answers():
                self._nodes = _living_nodes()
                self._nodes_asked = self._head_answered = now
            elif now - self._head_answered > min(_HEAD_SECONDS, self._execution.lease_seconds):
                raise ClusterError(
                    "the head of the Ray cluster is gone: bring the cluster back, or leave it out, and go on by "
                    "'jaxevo resume'. What had finished is kept"
                )
        return now - self._nodes_asked < _NODES_SECONDS

    def _hire_where_needed(self) -> None:
        """Starts workers on nodes that joined, and in place of those that ended."""
        for node in self._places():
            self._workers.append(self._hire(node))
        if not self._workers and self._nodes and all(node.id in self._refused for node in self._nodes):
            raise ClusterError(
                f"no worker is like the machine that the run began on ({'; '.join(sorted(set(self._refused.values())))}"
                "): go on with the run on such machines. What had finished is kept"
            )

    def _places(self) -> Iterator[_Node]:
        """Yields the node of every worker that is to be started now, the least crowded first."""
        wanted = self._execution.workers
        crowds = {node.id: sum(worker.node.id == node.id for worker in self._workers) for node in self._nodes}
        while wanted is None or sum(crowds.values()) < wanted:
            free = [node for node in self._nodes if self._has_room(node, crowds[node.id])]
            if not free:
                return
            node = min(free, key=lambda node: crowds[node.id])
            crowds[node.id] += 1
            yield node

    def _has_room(self, node: _Node, workers: int) -> bool:
        most = _most_workers(node, self._execution)
        allowed = most if self._execution.workers is not None else min(most, 1)
        rested = time.monotonic() >= self._not_before.get(node.id, 0.0)
        return workers < allowed and rested and node.id not in self._refused

    def _hire(self, node: _Node) -> _Hired:
        actor = _start_worker(node, self._execution)
        answer = actor.join.remote(self._assignment)
        return _Hired(actor, node, answer, f"a worker on {node.address}", time.monotonic())

    def _listen(self, timeout: float) -> None:
        """Takes what workers have answered, waiting for the first answer."""
        owed = {worker.answer: worker for worker in self._workers}
        if not owed:
            time.sleep(timeout)
            return
        ray.wait(list(owed), timeout=timeout)
        ready, _ = ray.wait(list(owed), num_returns=len(owed), timeout=0)
        for reference in ready:
            self._hear(owed[reference])

    def _hear(self, worker: _Hired) -> None:
        try:
            answer: Joined | Report = ray.get(worker.answer)
        except ray.exceptions.RayError as error:
            self._lose(worker, _reason(error))
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
            self._notice(f"{worker.name}, joined; lanes: {joined.lanes}")

    def _take(self, worker: _Hired, report: Report) -> None:
        for record in report.records:
            del worker.births[record.outcome.id]
            self._records.append(record)
            self._failures.pop(worker.node.id, None)
        if report.silent_seconds > self._execution.lease_seconds:
            self._lose(worker, f"a training gave no sign of life for {report.silent_seconds:.0f} seconds")

    def _give_up_the_silent(self) -> None:
        """Ends workers whose lease ran out: they hang, or cannot be reached."""
        now, lease = time.monotonic(), self._execution.lease_seconds
        for worker in list(self._workers):
            if now - worker.heard > (lease if worker.lanes else max(lease, _JOIN_SECONDS)):
                self._lose(worker, f"it gave no sign of life for {now - worker.heard:.0f} seconds")
        if self.lanes == 0 and now > self._notice_due:
            self._notice("no worker has joined yet: 'ray status' says what the cluster has, and what is in use")
            self._notice_due = math.inf

    def _lose(self, worker: _Hired, reason: str) -> None:
        """Counts a worker as dead: what it held is trained elsewhere, and another worker takes its place."""
        self._notice(f"{worker.name}, is lost ({reason}): another takes its place")
        self._end(worker)
        for birth, number in worker.births.values():
            self._attempts.lost(birth.id, number, reason)
        self._waiting = sorted((*self._waiting, *(birth for birth, _ in worker.births.values())), key=by_due)
        failures = self._failures[worker.node.id] = self._failures.get(worker.node.id, 0) + 1
        self._not_before[worker.node.id] = time.monotonic() + min(2.0 ** (failures - 1), _LONGEST_PAUSE_SECONDS)

    def _end(self, worker: _Hired) -> None:
        self._workers.remove(worker)
        if _head_answers():
            ray.kill(worker.actor)

    def _send_out(self) -> None:
        """Sends waiting births, in due order, to workers that have room, once their attempts are durable."""
        sent: list[tuple[_Hired, Birth]] = []
        # One whose training killed its worker before is trained alone, so that the next death blames no other: a worker
        # is emptied for it.
        emptied: set[_Hired] = set()
        loads = {worker: len(worker.births) for worker in self._workers if worker.lanes}
        for birth in self._waiting:
            alone = self._attempts.suspicious(birth.id)
            compiled = architecture(birth.genotype, self._shape)
            open_ = [worker for worker in loads if worker not in emptied and self._takes(worker, loads[worker], alone)]
            if open_:
                worker = min(open_, key=lambda worker: _preference(worker, loads[worker], compiled))
                sent.append((worker, birth))
                loads[worker] += 1
            elif not alone:
                break
            if alone and (rest := [worker for worker in loads if worker not in emptied]):
                emptied.add(worker if open_ else min(rest, key=loads.__getitem__))
        numbers = self._attempts.begin([birth for _, birth in sent]) if sent else []
        for (worker, birth), number in zip(sent, numbers, strict=True):
            self._waiting.remove(birth)
            worker.births[birth.id] = (birth, number)
            worker.architectures.add(architecture(birth.genotype, self._shape))
            worker.actor.submit.remote([(birth, number)])

    def _takes(self, worker: _Hired, load: int, alone: bool) -> bool:
        if alone:
            return load == 0
        return load < _BIRTHS_A_LANE * worker.lanes and not any(map(self._attempts.suspicious, worker.births))


def _preference(worker: _Hired, load: int, compiled: Architecture) -> tuple[bool, bool, float]:
    """Orders workers that hold `load` births for one more: a free lane first, then its program, then little load."""
    return load >= worker.lanes, compiled not in worker.architectures, load / worker.lanes


def connect(execution: Execution) -> None:
    """Connects this process to the cluster, or starts a Ray on this machine; does nothing where Ray is on already.

    Raises:
        ValueError: if no cluster answers.
    """
    global _connected_here
    # The workers own the accelerators, be they of this machine; what the host computes itself, it does on CPU.
    jax.config.update("jax_platforms", "cpu")
    if ray.is_initialized():
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    shown: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    with _own_signals():
        if execution.ray_address is None:
            # Whoever reaches a Ray may run code with it: one of this machine alone stays on its loopback interface.
            # The environment variable for that is read when Ray is imported.
            ray._private.ray_constants.ENABLE_RAY_CLUSTER = False
            ray.init("local", include_dashboard=False, object_store_memory=_OBJECT_STORE_BYTES, **shown)
        else:
            try:
                ray.init(execution.ray_address, **shown)
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise ValueError(
                    f"ray_address is {execution.ray_address!r}, but no Ray cluster answers there ({error}): start one "
                    "by 'ray start --head' on this machine, or leave the address out"
                ) from error
    _connected_here = True


def disconnect() -> None:
    """Leaves the cluster, and ends the Ray that `connect` started; leaves a connection that it found alone."""
    global _connected_here
    if _connected_here:
        ray.shutdown()
        _connected_here = False


def describe_cluster(execution: Execution) -> dict[str, str]:
    """Returns the machine that a new run's manifest is to hold: that of a worker, on a node with most accelerators.

    Raises:
        ValueError: if no node has what a worker asks for, or none is free.
    """
    connect(execution)
    nodes = [node for node in _living_nodes() if _most_workers(node, execution) > 0]
    if not nodes:
        raise ValueError(
            f"worker_resources is {execution.worker_resources!r}, but no node of the cluster has that: see 'ray status'"
        )
    node = max(nodes, key=lambda node: sum(node.resources.get(name, 0.0) for name in _ACCELERATORS))
    actor = _start_worker(node, execution)
    try:
        return ray.get(actor.describe.remote(), timeout=_FIRST_WORKER_SECONDS)
    except ray.exceptions.GetTimeoutError as error:
        raise ValueError(
            f"no worker started on {node.address} within {_FIRST_WORKER_SECONDS:.0f} seconds, probably since what it "
            "asks for is in use: see 'ray status'"
        ) from error
    finally:
        ray.kill(actor)


def _start_worker(node: _Node, execution: Execution) -> Any:
    """Starts a worker on a node, without waiting for it."""
    wanted = _wanted(node, execution)
    return (
        ray.remote(Worker)
        .options(
            num_cpus=wanted.pop("CPU"),
            num_gpus=wanted.pop("GPU", 0),
            resources=wanted,
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=_CALLS_AT_ONCE,
            scheduling_strategy=ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node.id, soft=False),
        )
        .remote(execution)
    )


def _wanted(node: _Node, execution: Execution) -> dict[str, float]:
    """Returns what a worker on a node asks for."""
    given = execution.resources()
    if given is None:
        given = {name: node.resources[name] for name in _ACCELERATORS if node.resources.get(name, 0.0) > 0}
    return {"CPU": 1.0, **given}


def _most_workers(node: _Node, execution: Execution) -> int:
    """Returns how many workers a node has room for."""
    return int(min(node.resources.get(name, 0.0) / amount for name, amount in _wanted(node, execution).items()))


def _head_answers() -> bool:
    """Returns whether the cluster's head is there. Ray's own calls would wait for it, and then end this process."""
    if not ray.is_initialized():
        return False
    host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def _living_nodes() -> list[_Node]:
    return [
        _Node(node["NodeID"], node["NodeManagerAddress"], node["Resources"]) for node in ray.nodes() if node["Alive"]
    ]


def _reason(error: Exception) -> str:
    """Returns in words what ended a worker: its own error, or its death."""
    if isinstance(error, ray.exceptions.RayTaskError):
        return str(error.cause)
    return "it died, or cannot be reached"


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Keeps this process's handlers of signals: Ray would end it on SIGTERM."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
