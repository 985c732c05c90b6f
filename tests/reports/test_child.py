"""A process in which JAX runs with other settings trains in a child, and sees its errors as they are."""

import dataclasses
import json
import os
import subprocess
import sys

import pytest
from helpers.tiny_runs import TINY, start

from jaxevo import environment
from jaxevo.doors.trust import Trust
from jaxevo.reports import child, jobs
from jaxevo.reports.jobs import (
    Begin,
    Finish,
    Job,
    Measure,
    Replay,
    Resume,
    Stopped,
    Verify,
    job_from_json,
    job_to_json,
)
from jaxevo.settings import Execution, Limits, Settings

SCRIPT = """
import json, os, pathlib, signal, sys, threading, time
import jax
jax.numpy.zeros(3).block_until_ready()
import jaxevo

folder, settings = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2])
said = {}
# As in a notebook; a shell's job in the background ignores it.
signal.signal(signal.SIGINT, signal.default_int_handler)

def refused(name, kind, call):
    try:
        call()
    except kind as error:
        said[name] = str(error)

run = jaxevo.evolve(folder / "run", lanes=2, max_individuals=8, **settings)
said["evolved"] = run.fingerprint
longer = jaxevo.open(folder / "run").resume(max_individuals=12)
said["resumed"] = longer.fingerprint
said["earlier"] = [run.events, jaxevo.open(folder / "run", 8).fingerprint]
said["replayed"] = longer.replay(folder / "again", lanes=1).fingerprint
said["verified"] = longer.verify(retrain=1)
said["tested"] = longer.test().members
refused("value", ValueError, lambda: jaxevo.evolve(folder / "run"))
refused("data", ValueError, lambda: jaxevo.evolve(folder / "new", dataset="cifra10"))
refused("limit", ValueError, lambda: longer.resume(max_individual=3))

def interrupt(journal, before):
    while journal.stat().st_size < before + 5_000:
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGINT)

journal = folder / "run" / "journal.jsonl"
threading.Thread(target=interrupt, args=(journal, journal.stat().st_size)).start()
refused("stopped", KeyboardInterrupt, lambda: longer.resume(max_individuals=10**6))
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    # Without what this test session set for itself, as in a user's notebook.
    environment = {name: value for name, value in os.environ.items() if name not in ("XLA_FLAGS", "NPROC")}
    folder = tmp_path_factory.mktemp("child")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder), json.dumps(dict(TINY))],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder, done.stdout, json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_evolve_resume_replay_verify_and_test_work(ended):
    _, _, said = ended
    assert said["replayed"] == said["resumed"]
    assert said["earlier"] == [8, said["evolved"]]
    assert said["verified"] == []
    assert len(said["tested"]) >= 1


@pytest.mark.slow
def test_what_the_child_prints_is_seen(ended):
    _, printed, _ = ended
    assert "/8 individuals, " in printed
    assert "trained individual" in printed


@pytest.mark.slow
def test_errors_are_the_sentence_and_nothing_else(ended):
    folder, _, said = ended
    assert said["value"].startswith(f"workdir {folder / 'run'} holds a run already: resume it with")
    assert said["data"].startswith("dataset: 'cifra10' is neither an embedded set")
    assert said["limit"].startswith("max_individual: no such setting; there are checkpoint_seconds, ")


@pytest.mark.slow
def test_a_signal_is_handed_on_and_the_message_says_how_to_go_on(ended):
    folder, _, said = ended
    again = f"jaxevo resume {folder / 'run'} --max-individuals 1000000"
    assert said["stopped"] == f"Stopped; finished individuals are kept. To resume: {again}"


# What the child's end becomes here.


@dataclasses.dataclass(frozen=True)
class Failing(Job):
    error: BaseException

    def carry_out(self, on_event=None):
        raise self.error


@pytest.mark.parametrize(
    ("error", "kind", "sentence"),
    [
        (ValueError("seed is -1"), ValueError, "seed is -1"),
        (RuntimeError("individual 3 cannot be trained"), RuntimeError, "individual 3 cannot be trained"),
        (FileNotFoundError(2, "No such file", "x"), OSError, "No such file"),
        (KeyError("name"), RuntimeError, "KeyError: 'name'"),
        (Stopped("Stopped here."), KeyboardInterrupt, "Stopped here."),
    ],
)
def test_an_error_comes_back_as_its_kind(tmp_path, monkeypatch, capfd, error, kind, sentence):
    job = Failing(tmp_path, Execution(), error)
    answer = child._answer(job, None)

    def run(command):
        child.Path(command[-1]).write_text(json.dumps(answer))
        return 0

    monkeypatch.setattr(child, "_run", run)
    monkeypatch.setattr(child, "prepare_process", lambda *_: False)
    with pytest.raises(kind, match=sentence):
        child.carry_out(Verify(tmp_path, Execution()))


def test_a_child_that_was_killed_is_an_error_that_names_the_signal(tmp_path, monkeypatch):
    kill = [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"]
    run = child._run
    monkeypatch.setattr(child, "_run", lambda command: run(kill))
    monkeypatch.setattr(child, "prepare_process", lambda *_: False)
    with pytest.raises(RuntimeError, match=r"ended without an answer \(signal SIGKILL\)"):
        child.carry_out(Verify(tmp_path, Execution()))


@pytest.mark.parametrize(
    "job",
    [
        lambda path: Begin(path, Execution(lanes=2), Settings(**TINY), Limits(max_flops=1e9)),
        lambda path: Begin(path, Execution(), Settings(), Limits(), from_run=path / "earlier"),
        lambda path: Begin(path, Execution(), Settings(), Limits(), from_genotype=path / "genotype.json"),
        lambda path: Resume(path, Execution(fast=True), Limits(), (3, 5)),
        lambda path: Replay(path, Execution(), path / "source"),
        lambda path: Finish(path, Execution(), 0.5, ensemble_size=3),
        lambda path: Measure(path, Execution(trust_code=True), {"linear_flops": 3}),
        lambda path: Verify(path, Execution(), "best"),
    ],
)
def test_a_task_is_the_same_after_json(tmp_path, job):
    given = job(tmp_path / "no UTF-8 \udcff")
    assert job_from_json(json.loads(json.dumps(job_to_json(given)))) == given


@pytest.mark.parametrize(("platform", "children"), [("cpu", 0), ("gpu", 1)])
def test_another_process_measures_where_the_head_of_a_cluster_keeps_off_its_accelerators(
    tmp_path, monkeypatch, platform, children
):
    start(tmp_path / "run", 4)
    head = Resume(tmp_path / "run", Execution(executor="ray", ray_address="10.0.0.1:6379"), Limits())
    prepared = environment._Preparation(platform, 1, "ray", fast=False)
    monkeypatch.setattr(environment, "_prepared", prepared)
    started, run = [], child._run
    monkeypatch.setattr(child, "_run", lambda command: (started.append(command), run(command))[1])
    jobs._measure(head, {}, Trust())
    assert len(started) == children
    assert json.loads((tmp_path / "run" / "result.json").read_text())["ensemble_test_accuracy"] > 0


def test_a_child_starts_no_other_one_and_answers_a_signal_while_it_prepares_itself(tmp_path, monkeypatch):
    job = Resume(tmp_path / "run", Execution(), Limits())
    monkeypatch.setattr(child, "prepare_process", lambda *_: False)
    answer = child._answer(job, None)
    assert answer["error"] == "RuntimeError"
    assert "sitecustomize" in answer["sentence"]

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(child, "prepare_process", interrupted)
    assert "stopped" in child._answer(job, None)
