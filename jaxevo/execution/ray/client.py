"""Connect to a Ray cluster, list its nodes, start workers on them, and receive their answers.

Only this module uses Ray. Ray starts processes and transfers births and records; its own retries are off.
"""

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax

from jaxevo.execution.worker import Worker
from jaxevo.settings import Execution
from jaxevo.storage.machine import Machine

try:
    import ray
except ImportError as missing:
    raise ValueError("executor is 'ray', but Ray is not installed: pip install 'jaxevo[ray]'") from missing

_CONNECT_SECONDS = 2.0
_FIRST_WORKER_SECONDS = 300.0
# Nothing goes through Ray's object store; this is little more than Ray's minimum.
_OBJECT_STORE_BYTES = 100 * 2**20
_ACCELERATORS = ("GPU", "TPU")
# A worker must receive births while another call waits for its report.
_CALLS_AT_ONCE = 4

_connected_here = False
_stays = False
"""True if `disconnect` must wait for the end of `staying_connected`."""


class WorkerLostError(Exception):
    """A worker no longer answers; the message says why."""


@dataclass(frozen=True)
class Node:
    """A node of the cluster.

    Attributes:
        id: Ray's id of the node.
        address: its network address.
        resources: its total resources, used or not.
    """

    id: str
    address: str
    resources: dict[str, float]


def connect(execution: Execution) -> None:
    """Connects this process to the cluster, or starts Ray on this machine; does nothing if already connected.

    Raises:
        ValueError: if no cluster answers, or Ray does not start.
    """
    global _connected_here
    # The host computes on CPU and leaves accelerators, even those of this machine, to the workers.
    jax.config.update("jax_platforms", "cpu")
    if ray.is_initialized():
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    shown: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    with _own_signals():
        if execution.ray_address is None:
            with _loopback_only():
                _start_here(shown)
        else:
            try:
                ray.init(execution.ray_address, **shown)
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise ValueError(
                    f"ray_address is {execution.ray_address!r}, but no Ray cluster answers there ({error}): start one "
                    "with 'ray start --head' on this machine, or omit the address"
                ) from error
    _connected_here = True


def _start_here(shown: Mapping[str, Any]) -> None:
    try:
        ray.init("local", include_dashboard=False, object_store_memory=_OBJECT_STORE_BYTES, **shown)
    except Exception as error:  # Ray raises no narrower type if a process of its own does not start in time.
        raise ValueError(
            f"Ray did not start on this machine ({str(error).strip()}): try again with less load, see Ray's own logs, "
            "or use --executor local"
        ) from error


def disconnect() -> None:
    """Disconnects from the cluster and stops a Ray that `connect` started; keeps an earlier connection."""
    global _connected_here
    if _connected_here and not _stays:
        ray.shutdown()
        _connected_here = False


@contextlib.contextmanager
def staying_connected() -> Iterator[None]:
    """Keeps the connection of what is executed inside until the end.

    The finish after a session then needs no second Ray, whose start would fork this process while JAX runs in it.
    """
    global _stays
    _stays = True
    try:
        yield
    finally:
        _stays = False
        if head_answers():  # Otherwise Ray would wait for it.
            disconnect()


def describe_cluster(execution: Execution) -> Machine:
    """Returns the machine for the manifest of a new run: that of a worker on the node with the most accelerators.

    Raises:
        ValueError: if no node has the resources of a worker, or none is free.
    """
    connect(execution)
    nodes = [node for node in living_nodes() if most_workers(node, execution) > 0]
    if not nodes:
        raise ValueError(
            f"worker_resources is {execution.worker_resources!r}, but no node of the cluster has that: see 'ray status'"
        )
    node = max(nodes, key=lambda node: sum(node.resources.get(name, 0.0) for name in _ACCELERATORS))
    actor = start_worker(node, execution)
    try:
        return ray.get(actor.describe.remote(), timeout=_FIRST_WORKER_SECONDS)
    except ray.exceptions.GetTimeoutError as error:
        raise ValueError(
            f"no worker started on {node.address} within {_FIRST_WORKER_SECONDS:.0f} seconds, probably because its "
            "resources are in use: see 'ray status'"
        ) from error
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ValueError(f"the first worker, on {node.address}, failed: {reason}") from error
    finally:
        ray.kill(actor)


def head_answers() -> bool:
    """Returns True if the cluster's head answers. Ray's own calls would wait for it and then end this process."""
    if not ray.is_initialized():
        return False
    host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def living_nodes() -> list[Node]:
    """Returns the current nodes of the cluster."""
    return [
        Node(node["NodeID"], node["NodeManagerAddress"], node["Resources"]) for node in ray.nodes() if node["Alive"]
    ]


def most_workers(node: Node, execution: Execution) -> int:
    """Returns the number of workers that fit on a node."""
    return int(min(node.resources.get(name, 0.0) / amount for name, amount in _wanted(node, execution).items()))


def workers_per_accelerator(node: Node, execution: Execution) -> int:
    """Returns the number of workers that fit on one accelerator of a node; 1 if each takes whole ones, or none."""
    wanted = _wanted(node, execution)
    amount = max((wanted.get(name, 0.0) for name in _ACCELERATORS), default=0.0)
    return int(1 / amount) if 0 < amount < 1 else 1


def start_worker(node: Node, execution: Execution) -> Any:
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


def ready(answers: Sequence[Any], timeout: float, at_least: int = 1) -> list[Any]:
    """Waits for `at_least` answers, or `timeout` seconds, and returns those that have arrived."""
    ray.wait(list(answers), num_returns=at_least, timeout=timeout)
    there, _ = ray.wait(list(answers), num_returns=len(answers), timeout=0)
    return list(there)


def answer_of(answer: Any) -> Any:
    """Returns a worker's answer.

    Raises:
        ValueError, OSError: if the training is not to blame: missing weights, a full disk.
        WorkerLostError: if the worker failed, died, or cannot be reached.
    """
    try:
        return ray.get(answer)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, (ValueError, OSError)):
            raise error.cause from error
        raise WorkerLostError(str(error.cause)) from error
    except ray.exceptions.RayError as error:
        raise WorkerLostError("it died, or cannot be reached") from error


def end_worker(actor: Any) -> None:
    """Kills a worker; does nothing if the head is gone, because Ray would wait for it."""
    if head_answers():
        ray.kill(actor)


def _wanted(node: Node, execution: Execution) -> dict[str, float]:
    """Returns the resources that a worker on a node asks for."""
    given = execution.resources()
    if given is None:
        given = {name: node.resources[name] for name in _ACCELERATORS if node.resources.get(name, 0.0) > 0}
    return {"CPU": 1.0, **given}


@contextlib.contextmanager
def _loopback_only() -> Iterator[None]:
    """Restricts a Ray started inside to the loopback interface, because anyone who can reach Ray can run code.

    Ray reads the environment variable for this on import, which may have happened before.
    """
    constants = ray._private.ray_constants
    before = constants.ENABLE_RAY_CLUSTER
    constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        constants.ENABLE_RAY_CLUSTER = before


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Restores this process's signal handlers, because Ray's would end it on SIGTERM."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
