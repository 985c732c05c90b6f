"""Functions of users that watch a run and may stop it, in the process that called `evolve`."""

import json
import os
import subprocess
import sys

import pytest
from helpers import ladder_space

import jaxevo
from jaxevo.session.events import Event, Telling
from jaxevo.session.progress import Watcher

LADDER = {"preset": "paper", "population_size": 6, "mutations": "steps", "space": ladder_space.Ladder}

SCRIPT = """
import json, os, sys, threading
import jax
jax.numpy.zeros(3).block_until_ready()
import jaxevo

folder, seen = sys.argv[1], []
options = dict(preset="paper", population_size=6, mutations="steps", space="helpers.ladder_space:Ladder")

def watch(event):
    seen.append((event.event, os.getpid(), threading.current_thread() is threading.main_thread()))
    return "stop" if event.event == 7 else None

def wrong(event):
    if event.event == 9:
        raise KeyError("mine")

run = jaxevo.evolve(folder + "/run", max_individuals=30, on_event=watch, **options)
try:
    run.resume(max_individuals=30, on_event=wrong)
except KeyError as error:
    said = repr(error)
longer = jaxevo.open(folder + "/run", trust_code=True).resume(max_individuals=20)
print(json.dumps([seen, os.getpid(), run.events, said, longer.events, longer.fingerprint]))
"""


def test_every_told_event_is_received_once_and_in_order(tmp_path):
    events: list[Event] = []
    run = jaxevo.evolve(tmp_path / "run", max_individuals=15, on_event=events.append, **LADDER)
    assert [event.event for event in events] == list(range(1, 16))
    assert events[-1].fingerprint == run.fingerprint
    assert events[-1].best_id == run.best.individual.id
    history = run.history
    for name, column in (("id", "id"), ("accuracy", "validation_accuracy"), ("fitness", "fitness")):
        assert [getattr(event, name) for event in events] == history[column].tolist()
    assert all(json.loads(json.dumps(vars(event))) == vars(event) for event in events)


def test_a_space_that_counts_no_flops_evolves_with_the_default_preset(tmp_path):
    """Its limits have a share of the finish, which nothing in this space can have."""
    options = {**LADDER, "preset": "demo", "inheritance": "shape"}
    run = jaxevo.evolve(tmp_path / "run", max_individuals=12, max_seconds=600, **options)
    assert (run.events, run.result["stop_reason"]) == (12, "max_individuals")


def test_a_function_may_stop_the_run_which_then_goes_on_as_if_it_had_not(tmp_path):
    run = jaxevo.evolve(
        tmp_path / "run", max_individuals=20, on_event=lambda event: "stop" if event.event == 5 else None, **LADDER
    )
    assert (run.events, run.result["stop_reason"]) == (5, "stopped")
    whole = jaxevo.evolve(tmp_path / "whole", max_individuals=20, **LADDER)
    assert run.resume(max_individuals=20).fingerprint == whole.fingerprint


@pytest.mark.parametrize("answer", [True, "halt"])
def test_any_other_answer_is_refused(tmp_path, answer):
    with pytest.raises(ValueError, match=f'on_event returned {answer!r}, but must return "stop" or None'):
        jaxevo.evolve(tmp_path / "run", max_individuals=9, on_event=lambda event: answer, **LADDER)


def test_an_error_ends_the_session_cleanly(tmp_path):
    def wrong(event):
        if event.event == 4:
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        jaxevo.evolve(tmp_path / "run", max_individuals=9, on_event=wrong, **LADDER)
    run = jaxevo.open(tmp_path / "run", trust_code=True)
    assert run.events == 4
    whole = jaxevo.evolve(tmp_path / "whole", max_individuals=9, **LADDER)
    assert run.resume(max_individuals=9).fingerprint == whole.fingerprint


@pytest.mark.slow
def test_where_a_child_trains_the_function_runs_in_the_calling_process_and_thread(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name not in ("XLA_FLAGS", "NPROC")}
    environment |= {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    seen, process, events, said, longer, fingerprint = json.loads(done.stdout.splitlines()[-1])
    assert seen == [[event, process, True] for event in range(1, 8)]
    assert (events, said, longer) == (7, "KeyError('mine')", 20)
    whole = jaxevo.evolve(tmp_path / "whole", max_individuals=20, **LADDER)
    assert fingerprint == whole.fingerprint


def test_all_that_a_watcher_receives_reaches_the_one_behind():
    received = []

    class Noting(Watcher):
        def notice(self, text):
            received.append(("notice", text))

        def announce(self, text):
            received.append(("announce", text))

        def progressed(self, progress):
            received.append(("progressed", progress))

        def finishing(self, step, steps):
            received.append(("finishing", step, steps))

    watcher = Telling(Noting(), lambda event: None)
    watcher.notice("n")
    watcher.announce("a")
    watcher.progressed("p")
    watcher.finishing(1, 2)
    assert received == [("notice", "n"), ("announce", "a"), ("progressed", "p"), ("finishing", 1, 2)]
    # A method that joins them must be passed on too.
    methods = {name for name in vars(Watcher) if not name.startswith("_")}
    assert methods == {one[0] for one in received} | {"told"}
