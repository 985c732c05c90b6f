"""Ray: the same run on the workers of a cluster, whatever is killed, hangs, comes late, or is not like the others.

All clusters live on the loopback interface of this machine, and end with their test.
"""

import contextlib
import dataclasses
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers.ray_cluster import LoopbackCluster, joined_cluster
from helpers.tiny_runs import TINY, command, journal_lines, resume, rewrite_manifest, run_arguments, start

import jaxevo as package
from jaxevo.session.progress import Progress, Watcher
from jaxevo.session.run import resume_run, start_run
from jaxevo.settings import Execution, Limits, Settings

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'jaxevo[ray]'")

EVENTS = 14
# Long enough to be hit in the middle.
STEPS = 400
FLAGS = {"train_steps": STEPS, "early_stopping": 0.5}
TWO_WORKERS = Execution(lanes=1, executor="ray", ray_workers=2)
JOINED = re.compile(r"process (\d+), joined")


class Disturber(Watcher):
    """Keeps the sentences of a run, and does something to it, once, when it is far enough and has workers to be hit."""

    def __init__(self, deed: Callable[["Disturber"], None], events: int, workers: int = 0) -> None:
        self.notices: list[str] = []
        self.deed: Callable[[Disturber], None] | None = deed
        self.events = events
        self.workers = workers

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def progressed(self, progress: Progress) -> None:
        # Events that the session before has finished are told before any worker has joined.
        if self.deed and progress.state.events >= self.events and len(self.processes) >= self.workers:
            deed, self.deed = self.deed, None
            deed(self)

    @property
    def processes(self) -> list[int]:
        """The workers that have joined, the latest last."""
        return [int(found[1]) for text in self.notices if (found := JOINED.search(text))]


class Killer(Disturber):
    """Kills every worker after the first event that it lived to see, until some were killed."""

    def __init__(self, kills: int) -> None:
        super().__init__(lambda _: None, 0)
        self.kills = kills
        self.killed: list[int] = []
        self._seen: dict[int, int] = {}

    def progressed(self, progress: Progress) -> None:
        for process in self.processes:
            told = progress.state.events - self._seen.setdefault(process, progress.state.events)
            if told > 0 and process not in self.killed and len(self.killed) < self.kills:
                os.kill(process, signal.SIGKILL)
                self.killed.append(process)


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in {"Z", "X"}


def descendants(process: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(entry.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(entry.parent.name))
    found, unseen = [], [process]
    while unseen:
        unseen += (kin := children.get(unseen.pop(), []))
        found += kin
    return found


def listening_addresses(processes: list[int]) -> list[str]:
    """Returns the addresses, in the kernel's hexadecimal, on which some processes listen."""
    sockets = set()
    for process in processes:
        for descriptor in Path(f"/proc/{process}/fd").glob("*"):
            with contextlib.suppress(OSError):
                sockets.add(os.readlink(descriptor))
    lines = [
        line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    return [line[1].partition(":")[0] for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in sockets]


def fingerprint(path: Path, events: int | None = None) -> str:
    return package.open(path, events).fingerprint


def go_on(path: Path, events: int, watcher: Watcher, execution: Execution = TWO_WORKERS) -> None:
    ended = resume_run(path, Limits(max_individuals=events), execution, watcher)
    assert ended.stop_reason == "max_individuals"


@pytest.fixture(scope="module")
def cluster() -> Iterator[LoopbackCluster]:
    """A cluster that the tests share."""
    with joined_cluster() as started:
        yield started


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    """A run of lanes of this machine."""
    path = tmp_path_factory.mktemp("undisturbed") / "run"
    start(path, 2 * EVENTS, **FLAGS)
    return path


@pytest.fixture
def begun(tmp_path) -> Path:
    """A run that lanes of this machine have begun."""
    start(tmp_path / "run", 2, **FLAGS)
    return tmp_path / "run"


@pytest.mark.slow
def test_a_run_on_two_workers_is_the_run_of_local_lanes(cluster, tmp_path, undisturbed):
    watcher = Disturber(lambda _: None, 0)
    settings = Settings(**{**TINY, **FLAGS})
    start_run(tmp_path / "run", settings, Limits(max_individuals=2 * EVENTS), TWO_WORKERS, watcher)
    assert fingerprint(tmp_path / "run") == fingerprint(undisturbed)
    assert package.open(tmp_path / "run").manifest.machine == package.open(undisturbed).manifest.machine
    assert len(watcher.processes) == 2
    assert ray.is_initialized(), "a Ray that the run has not started is not its to end"


@pytest.mark.slow
def test_workers_killed_repeatedly_are_replaced_and_the_run_ends_the_same(cluster, begun, undisturbed):
    watcher = Killer(4)
    go_on(begun, 2 * EVENTS, watcher)
    assert fingerprint(begun) == fingerprint(undisturbed)
    assert len(watcher.killed) == 4
    assert sum("is lost (it died" in text for text in watcher.notices) == 4
    assert journal_lines(begun, "lostattempt")
    ids = [record["outcome"]["id"] for record in journal_lines(begun, "record")]
    assert len(ids) == len(set(ids))


@pytest.mark.slow
def test_a_hanging_worker_is_given_up_and_its_return_changes_nothing(cluster, begun, undisturbed):
    stopped: list[int] = []

    def stop(watcher: Disturber) -> None:
        stopped.append(watcher.processes[-1])
        os.kill(stopped[0], signal.SIGSTOP)

    execution = dataclasses.replace(TWO_WORKERS, lease_seconds=6)
    watcher = Disturber(stop, 4, workers=2)
    began = time.monotonic()
    try:
        go_on(begun, EVENTS, watcher, execution)
    finally:
        if stopped and alive(stopped[0]):
            os.kill(stopped[0], signal.SIGCONT)
    assert time.monotonic() - began > 6
    assert fingerprint(begun) == fingerprint(undisturbed, EVENTS)
    assert any(f"process {stopped[0]}, is lost (it gave no sign of life" in text for text in watcher.notices)
    lost = {(loss["id"], loss["number"]) for loss in journal_lines(begun, "lostattempt")}
    counted = {(record["outcome"]["id"], record["attempt"]) for record in journal_lines(begun, "record")}
    assert lost
    assert not lost & counted
    # What an attempt that does not count may have left is removed by the next session.
    resume(begun, EVENTS + 1)
    named = {record["outcome"]["weights"] for record in journal_lines(begun, "record")}
    assert {folder.name for folder in (begun / "weights").iterdir()} <= named


@pytest.mark.slow
def test_a_cluster_without_any_machine_like_the_first_is_refused(cluster, begun):
    rewrite_manifest(begun, lambda fields: fields["machine"].update(device="TPU v4"))
    with pytest.raises(RuntimeError, match="no worker is like the machine .*its device is 'cpu', but was 'TPU v4'"):
        go_on(begun, EVENTS, Watcher())


@pytest.mark.slow
def test_the_whole_cluster_is_killed_and_the_run_goes_on_without_it_and_back(cluster, begun, undisturbed):
    flags = ["--executor", "ray", "--ray-workers", 2, "--lanes", 1, "--lease-seconds", 6, "--max-individuals", 10**6]
    with subprocess.Popen(
        command("resume", begun, *flags), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as host:
        while len(journal_lines(begun, "record")) < 6 and host.poll() is None:
            time.sleep(0.1)
        for process in descendants(host.pid):
            with contextlib.suppress(ProcessLookupError):  # Ray's own processes end with those that are killed.
                os.kill(process, signal.SIGKILL)
        output, _ = host.communicate(timeout=60)
    assert host.returncode == 1, output
    assert "the head of the Ray cluster is gone" in output
    finished = journal_lines(begun, "record")
    resume(begun, len(finished) + 2)
    records = journal_lines(begun, "record")
    assert records[: len(finished)] == finished
    events = len(records) + 3
    go_on(begun, events, Watcher())
    common = min(events, 2 * EVENTS)
    assert fingerprint(begun, common) == fingerprint(undisturbed, common)


@pytest.mark.slow
def test_a_signal_stops_within_seconds_and_ends_the_local_ray(tmp_path, undisturbed):
    path = tmp_path / "run"
    arguments = run_arguments(path, 10**6, executor="ray", ray_workers=2, lanes=1, train_steps=STEPS)
    # That the local Ray keeps to the loopback interface is not left to the environment.
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"}
    with subprocess.Popen(
        command(*arguments), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as host:
        while not (path / "journal.jsonl").exists() or len(journal_lines(path, "record")) < 3:
            assert host.poll() is None, host.communicate()
            time.sleep(0.1)
        started = descendants(host.pid)
        addresses = listening_addresses([host.pid, *started])
        host.send_signal(signal.SIGTERM)
        began = time.monotonic()
        output, _ = host.communicate(timeout=60)
    # Five seconds on a quiet machine.
    assert time.monotonic() - began < 45
    assert host.returncode == 130, output
    assert f"jaxevo resume {path}" in output
    assert journal_lines(path, "stop")[-1]["reason"] == "interrupted"
    # 127.0.0.1: whoever reaches a Ray may run code with it.
    assert addresses
    assert all(address.endswith("0100007F") for address in addresses), addresses
    deadline = time.monotonic() + 10
    while any(map(alive, started)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(alive, started))
    events = min(package.open(path).events, 2 * EVENTS)
    assert fingerprint(path, events) == fingerprint(undisturbed, events)


# Last, for the nodes stay.
@pytest.mark.slow
def test_nodes_that_join_later_are_used_and_one_that_differs_is_refused(cluster, begun, undisturbed):
    class UntilBothCame(Disturber):
        interrupted = False

        def progressed(self, progress: Progress) -> None:
            super().progressed(progress)
            refused = any("is refused" in text for text in self.notices)
            # Once: a second signal would cut the end of the session short.
            if refused and len(self.processes) == 2 and not self.interrupted:
                self.interrupted = True
                os.kill(os.getpid(), signal.SIGINT)

    def both_join(watcher: Disturber) -> None:
        cluster.add_node()
        cluster.add_node(XLA_FLAGS=os.environ["XLA_FLAGS"] + " --xla_cpu_enable_fast_min_max=true")

    watcher = UntilBothCame(both_join, 3)
    limits = Limits(max_individuals=10**6, max_seconds=600)
    ended = resume_run(begun, limits, Execution(lanes=1, executor="ray"), watcher)
    assert ended.stop_reason == "interrupted"
    [refusal] = [text for text in watcher.notices if "is refused" in text]
    assert "its XLA_FLAGS is" in refusal
    assert "fast_min_max" in refusal
    common = min(ended.progress.state.events, 2 * EVENTS)
    assert fingerprint(begun, common) == fingerprint(undisturbed, common)
