"""Which birth the host sends to which worker, told with workers that only take note."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.births import SPACE, birth_of
from helpers.genotypes import INITIAL, ONE_CONVOLUTION, THREE_CONVOLUTIONS

from jaxevo.execution.worker import Assignment, Joined, Report, Worker
from jaxevo.search.births import Outcome
from jaxevo.search.space import Task
from jaxevo.settings import Execution, Settings
from jaxevo.storage.checkpoint import CheckpointError
from jaxevo.storage.journal import Record

pytest.importorskip("ray", reason="Ray is not installed: pip install 'jaxevo[ray]'")

from jaxevo.execution.ray import client, cluster
from jaxevo.execution.ray.client import Node, most_workers

NODE = Node("node", "127.0.0.1", {"CPU": 4.0})


class Attempts:
    """Attempts without a journal; `suspects` are to be trained alone."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.losses: list[tuple[int, int, str]] = []
        self.suspects: set[int] = set()

    def begin(self, births):
        self.begun += [birth.id for birth in births]
        return [self.begun.count(birth.id) for birth in births]

    def lost(self, birth_id, number, reason):
        self.losses.append((birth_id, number, reason))

    def suspicious(self, birth_id):
        return birth_id in self.suspects


def birth(number, genotype=INITIAL):
    return birth_of(number, genotype)


def taking_note():
    """Returns an actor whose calls do nothing but keep what it was sent."""
    sent: list[int] = []
    submit = SimpleNamespace(remote=lambda births: sent.extend(one["id"] for one, _ in births))
    report = SimpleNamespace(remote=lambda timeout: object())
    return SimpleNamespace(submit=submit, report=report, sent=sent)


@pytest.fixture
def attempts():
    return Attempts()


@pytest.fixture
def host_of(monkeypatch, attempts):
    """Makes a host without workers, of a cluster that is not there."""
    monkeypatch.setattr(cluster, "connect", lambda execution: None)
    monkeypatch.setattr(cluster, "end_worker", lambda actor: None)
    assignment = Assignment(Settings(), "workdir", 1, Task(), (), {}, "")

    def make(**execution):
        execution = Execution(executor="ray", **execution)
        return cluster.ClusterExecutor(assignment, SPACE, execution, attempts, lambda text: None)

    return make


@pytest.fixture
def host(host_of):
    """A host with two workers, of two lanes and of one."""
    host = host_of(lease_seconds=10)
    for lanes in (2, 1):
        worker = cluster._Hired(taking_note(), NODE, object(), "", float("inf"))
        host._workers.append(worker)
        host._welcome(worker, Joined("here", lanes))
    return host


def test_lanes_that_share_an_accelerator_are_those_that_workers_tell(host):
    assert host.lanes_per_accelerator == 1
    host._welcome(host._workers[0], Joined("here", 8, lanes_per_accelerator=4))
    assert host.lanes_per_accelerator == 4


@pytest.mark.parametrize(
    ("resources", "lanes"),
    [("CPU=2", 2), ("CPU=2,GPU=1", 2), ("CPU=2,GPU=2", 2), ("CPU=2,GPU=0.5", 4), ("CPU=2,GPU=0.16", 6)],
)
def test_workers_that_ask_for_a_part_of_an_accelerator_share_it(host_of, resources, lanes):
    """Three workers of two lanes on a node with eight accelerators."""
    host = host_of(worker_resources=resources)
    node = Node("node", "127.0.0.1", {"CPU": 64.0, "GPU": 8.0})
    for number in range(3):
        host._workers.append(cluster._Hired(taking_note(), node, object(), "", float("inf")))
        host._welcome(host._workers[number], Joined("here", 2, lanes_per_accelerator=2))
    assert host.lanes_per_accelerator == lanes


def test_the_steps_of_a_finish_are_those_that_its_worker_tells(host):
    assert host.step is None
    host._take(host._workers[0], Report([], 0.0, step=30))
    assert host.step == 30


def sent(host):
    return [worker.actor.sent for worker in host._workers]


def test_births_go_out_in_due_order_to_free_lanes_first_and_two_a_lane(host, attempts):
    host.submit([birth(number) for number in reversed(range(9))])
    assert attempts.begun == [0, 1, 2, 3, 4, 5]
    assert sorted(sent(host)[0][:2] + sent(host)[1][:1]) == [0, 1, 2]
    assert [len(births) for births in sent(host)] == [4, 2]
    assert host.lanes == 3


def test_a_birth_goes_where_its_program_is_compiled(host):
    host.submit([birth(0, ONE_CONVOLUTION), birth(1, THREE_CONVOLUTIONS)])
    place = next(place for place, births in enumerate(sent(host)) if 0 in births)
    report(host, place, 0)
    report(host, 1 - place, 1)
    host.submit([birth(2, THREE_CONVOLUTIONS), birth(3, ONE_CONVOLUTION)])
    assert sent(host)[place] == [0, 3]
    assert sent(host)[1 - place] == [1, 2]


def report(host, place, birth_id):
    record = Record(Outcome(birth_id, 0.5, "w", "h"), 0.5, 0.0, 0.0, 0.0, 1, 1)
    host._take(host._workers[place], Report([record], 0.0))
    host._send_out()


def test_a_birth_that_killed_workers_is_trained_alone(host, attempts):
    attempts.suspects = {3}
    host.submit([birth(number) for number in range(3)])
    host.submit([birth(number) for number in range(3, 8)])
    assert 3 not in attempts.begun
    # One worker gets nothing more until it is empty, the other goes on.
    assert sent(host) == [[0, 2, 4, 5], [1]]
    report(host, 1, 1)
    assert sent(host)[1] == [1, 3]
    report(host, 0, 0)
    assert sent(host) == [[0, 2, 4, 5, 6], [1, 3]]
    report(host, 1, 3)
    assert sent(host)[1] == [1, 3, 7]


def test_what_a_lost_worker_held_counts_as_lost_and_goes_out_again(host, attempts):
    host.submit([birth(0), birth(1), birth(2)])
    lost, other = host._workers
    held = sorted(lost.births)
    host._lose(lost, "it died")
    assert attempts.losses == [(number, 1, "it died") for number in held]
    host._send_out()
    # The other has room for two in all.
    assert len(other.births) == 2
    assert host._workers == [other]


@pytest.mark.parametrize("heard", [-100.0, float("inf")])
def test_a_worker_is_given_up_when_its_lease_ran_out(host, heard):
    quiet, other = host._workers
    quiet.heard = heard
    host._give_up_the_silent()
    assert host._workers == ([other] if heard < 0 else [quiet, other])


def test_a_worker_with_a_training_that_hangs_is_given_up_too(host, attempts):
    host.submit([birth(0)])
    holder = next(worker for worker in host._workers if worker.births)
    host._take(holder, Report([], 11.0))
    assert holder not in host._workers
    assert [birth_id for birth_id, *_ in attempts.losses] == [0]


@pytest.mark.parametrize(
    ("asked", "resources", "room"),
    [
        (None, {"CPU": 2.0}, 2),
        (None, {"CPU": 64.0, "GPU": 8.0}, 1),
        (None, {"CPU": 64.0, "TPU": 4.0}, 1),
        ("GPU=1", {"CPU": 64.0, "GPU": 8.0}, 8),
        ("GPU=1", {"CPU": 64.0}, 0),
        ("CPU=16,big=1", {"CPU": 64.0, "big": 2.0}, 2),
    ],
)
def test_a_node_has_room_for_as_many_workers_as_its_resources_give(asked, resources, room):
    execution = Execution(executor="ray", worker_resources=asked)
    assert most_workers(Node("", "", resources), execution) == room


def test_a_ray_that_does_not_start_is_one_sentence(monkeypatch):
    def timed_out(*_, **__):
        raise Exception("The current node timed out during startup.")

    monkeypatch.setattr(client.ray, "init", timed_out)
    with pytest.raises(ValueError, match=r"^Ray did not start on this machine \(The current node .*less load"):
        client.connect(Execution(executor="ray"))


def test_a_lack_that_is_not_the_trainings_fault_blames_no_birth(host, attempts, monkeypatch):
    host.submit([birth(number) for number in range(2)])
    host.finished(0.0)

    def without_weights(answer):
        raise CheckpointError("the weights of individual 3 are missing")

    monkeypatch.setattr(cluster, "answer_of", without_weights)
    with pytest.raises(CheckpointError, match="are missing"):
        host._hear(host._workers[0])
    assert attempts.losses == []


def test_what_has_finished_is_kept_and_all_workers_end_where_one_had_an_error(host, monkeypatch):
    host.submit([birth(number) for number in range(2)])
    record = Record(Outcome(0, 0.5, "w", "h"), 0.5, 0.0, 0.0, 0.0, 1, 1)
    host._records = [record]
    failed, other = host._workers
    late = dataclasses.replace(record, outcome=Outcome(1, 0.5, "w", "h"))
    for worker in (failed, other):
        worker.actor.close = SimpleNamespace(remote=object)
    answers = {failed.answer: CheckpointError("the weights of individual 3 are missing"), other.answer: [late]}

    def answer_of(answer):
        found = answers.get(answer, [])
        if isinstance(found, Exception):
            raise found
        return found

    ended = []
    monkeypatch.setattr(cluster, "head_answers", lambda: True)
    monkeypatch.setattr(cluster, "ready", lambda answers, *_: answers)
    monkeypatch.setattr(cluster, "answer_of", answer_of)
    monkeypatch.setattr(cluster, "end_worker", ended.append)
    monkeypatch.setattr(cluster, "disconnect", lambda: ended.append("disconnected"))
    assert host.close() == [record, late]
    assert ended == [failed.actor, other.actor, "disconnected"]


@pytest.mark.parametrize("others", [[], [Node("head", "127.0.0.1", {"CPU": 8.0})]])
def test_a_run_ends_where_all_nodes_that_can_have_a_worker_are_refused(host_of, others):
    """A head without accelerators is no reason to wait."""
    host = host_of(worker_resources="GPU=8")
    host._nodes = [Node("node", "127.0.0.1", {"CPU": 64.0, "GPU": 8.0}), *others]
    host._refused = {"node": "its jax is another"}
    with pytest.raises(cluster.ClusterError, match=r"no worker is like the machine .* \(its jax is another\)"):
        host._hire_where_needed()


def test_a_node_whose_workers_never_start_is_refused(host_of, monkeypatch):
    """As where the images do not fit on its accelerators; it would be tried for ever."""
    host = host_of()
    host._nodes = [NODE]
    monkeypatch.setattr(
        host, "_hire", lambda node: cluster._Hired(taking_note(), node, object(), "a worker", float("inf"))
    )

    def lose_next(reason, joined=False):
        host._not_before.clear()
        host._hire_where_needed()
        if joined:
            host._welcome(host._workers[0], Joined("here", 2))

        def dead(answer):
            raise cluster.WorkerLostError(reason)

        monkeypatch.setattr(cluster, "answer_of", dead)
        host._hear(host._workers[0])

    for _ in range(4):
        lose_next("out of memory")
    lose_next("it died", joined=True)  # The count begins anew.
    for _ in range(5):
        lose_next("out of memory")
    with pytest.raises(cluster.ClusterError, match="5 workers in a row did not start: out of memory"):
        host._hire_where_needed()


def test_a_node_that_fails_gets_a_birth_last_and_a_suspicious_one_never(host, attempts):
    """Its empty workers would be the first choice, and an innocent birth would collect deaths there."""
    bad, good = host._workers
    bad.node = Node("bad", "127.0.0.2", {"CPU": 4.0})
    host._failures["bad"] = 1
    host.submit([birth(0)])
    host.finished(0.0)
    assert (bad.actor.sent, good.actor.sent) == ([], [0])
    attempts.suspects = {1}
    host.submit([birth(1)])
    host.finished(0.0)
    # It waits until the worker of the sound node is empty.
    assert (bad.actor.sent, good.actor.sent) == ([], [0])


def test_a_node_whose_resources_are_in_use_elsewhere_is_waited_for(host_of, monkeypatch):
    host = host_of()
    host._nodes = [NODE]
    monkeypatch.setattr(
        host, "_hire", lambda node: cluster._Hired(taking_note(), node, object(), "a worker", float("-inf"))
    )
    for _ in range(10):
        host._not_before.clear()
        host._hire_where_needed()
        host._give_up_the_silent()
    assert host._refused == {}


def test_what_keeps_a_worker_from_joining_is_its_refusal():
    assignment = Assignment(Settings(dataset="/nowhere/images.npz"), Path("workdir"), 1, Task(), (), {}, "")
    worker = Worker.__new__(Worker)
    worker._execution = Execution()
    worker.describe = dict
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patched:
        patched.setattr("jaxevo.execution.worker.differences", lambda own, other: [])
        joined = worker.join(assignment)
    assert joined.lanes == 0
    assert "/nowhere/images.npz" in joined.refusal
