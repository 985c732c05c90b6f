"""The short form of `python -m experiments.benchmarks.faults`: every kind of fault, a few times."""

import pytest

from experiments.benchmarks.faults import preemption
from experiments.benchmarks.faults.__main__ import ROWS, row
from experiments.benchmarks.faults.account import Account, Cost
from experiments.benchmarks.faults.disk import NoDiskError
from experiments.benchmarks.faults.scene import Scene
from jaxevo.search.births import Outcome
from jaxevo.storage.journal import Attempt, Journal, LostAttempt, Record

TIMES = {
    "kill -9 at every named point": 1,
    "kill -9 of the host at random moments": 3,
    "kill -9 in a long training": 2,
    "five deaths on one birth, then skipped": 1,
    "disk full": 3,
    "read-only folder": 2,
    "journal cut at every byte of its last record": 1,
    "bit flips in the journal": 300,
    "bit flips in a snapshot": 30,
    "bit flips in weights": 30,
    "clock jumps": 1,
    "run and data moved": 1,
    "foreign names in the work folder": 1,
    "cache that cannot be written": 1,
    "fork of a process in which JAX runs": 1,
    "two hosts at once": 2,
    "SIGTERM at random moments": 2,
    "SIGTERM while deep nets compile": 1,
}


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Scene:
    return Scene(tmp_path_factory.mktemp("faults"))


RAY_ROW = "kill -9 of Ray workers at random moments"
"""Only in the long form; test_ray.py kills workers."""


@pytest.mark.slow
@pytest.mark.parametrize("name", TIMES)
def test_a_fault_costs_nothing_that_had_finished(scene, name, monkeypatch):
    # Five seconds on a quiet machine.
    monkeypatch.setattr(preemption, "ANSWER_SECONDS", 45.0)
    # However fast a machine is, its sessions must not end before the signal.
    monkeypatch.setattr(preemption, "_LONGEST_DELAY_SECONDS", 0.2)
    inject, _ = ROWS[name]
    try:
        cost = inject(scene, TIMES[name])
    except NoDiskError as error:
        pytest.skip(f"no disk can be mounted here: {error}")
    assert cost.injected >= cost.hits > 0
    assert cost.lost == 0
    assert cost.trained_twice == 0
    assert cost.equal


def test_what_a_host_gave_a_dead_worker_until_it_noticed_was_in_flight(tmp_path):
    account = Account(tmp_path)
    with Journal(tmp_path / "journal.jsonl") as journal:
        journal.append([attempt(0, 1)])
        account.fault()
        journal.append([attempt(1, 1), attempt(2, 1)])
        journal.append([LostAttempt(0, 1, "it died"), LostAttempt(1, 1, "it died")])
        journal.append([attempt(0, 2), attempt(1, 2), attempt(2, 2)])
        journal.append([record(0), record(1), record(2)])
    assert account.close(equal=True) == Cost(1, 1, trained_again=2, trained_twice=1)


def test_every_row_has_a_short_form():
    assert TIMES.keys() | {RAY_ROW} == ROWS.keys()
    assert all(ROWS[name][1] >= times for name, times in TIMES.items())


def test_a_row_of_the_table_tells_what_went_wrong(scene, monkeypatch, capsys):
    bad = Cost(injected=1200, hits=3, lost=1, trained_again=5, trained_twice=0, equal=False, note="so it is")
    monkeypatch.setitem(ROWS, "clock jumps", (lambda scene, times: bad, 1))
    line = row("clock jumps", scene, None)
    assert line.startswith("| clock jumps | 1,200 | 3 | **1** | 5 | 0 | **no** | ")
    assert line.endswith(" | so it is |")
    assert capsys.readouterr().out == f"{line}\n"


def test_a_row_that_cannot_be_injected_says_why(scene, monkeypatch):
    def refuse(scene, times):
        raise NoDiskError("only root can")

    monkeypatch.setitem(ROWS, "disk full", (refuse, 1))
    assert row("disk full", scene, 2).endswith("not injected: only root can |")


def attempt(birth_id, number):
    return Attempt(birth_id, number, 1, 0, "")


def record(birth_id, fitness=0.5):
    return Record(Outcome(birth_id, fitness, "w", "h"), 0.5, 0.0, 0.0, 0.0, 1, 1)


def test_an_account_tells_the_lost_and_the_trained_twice_from_those_in_flight(tmp_path):
    file = tmp_path / "journal.jsonl"
    with Journal(file) as journal:
        journal.append([attempt(0, 1), attempt(1, 1), attempt(2, 1)])
        journal.append([record(0), record(2)])
    account = Account(tmp_path)
    account.fault()
    account.fault(hit=False)
    with Journal(file) as journal:
        journal.append([attempt(1, 2), attempt(3, 1)])
        journal.append([record(1), record(3)])
    assert account.close(equal=True) == Cost(2, 1, lost=0, trained_again=1)
    file.unlink()
    with Journal(file) as journal:
        journal.append([attempt(0, 1), attempt(0, 2), attempt(1, 1), attempt(1, 2)])
        journal.append([record(0, fitness=0.6), record(1)])
    assert account.close(equal=True) == Cost(2, 1, lost=2, trained_again=1, trained_twice=1)
