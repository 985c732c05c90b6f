"""SIGKILL: at named points, at random moments, in long trainings, and five times in the training of one birth."""

import os
import signal
import time
from pathlib import Path
from random import Random
from typing import Any

import jaxevo
from experiments.benchmarks.faults.account import Account, Cost, expect
from experiments.benchmarks.faults.host import SIGKILLED, Host
from experiments.benchmarks.faults.scene import CHECKPOINT_ALWAYS, EVENTS, RAY_FLAGS, Scene, journal, ray_workers
from jaxevo.settings import Execution
from jaxevo.storage.attempts import deaths
from jaxevo.storage.faults import KILL_POINTS

_MAX_DEATHS = Execution().max_deaths
_LONG: dict[str, Any] = {"train_steps": 3000, "num_workers": 1, "population_size": 2, "lanes": 1}
_LONG_EVENTS = 2
_LONGEST_DELAY_SECONDS = 0.7
# Enough that a worker can be killed several times before the run ends.
_WORKER_EVENTS = 200
_DIED = "it died, or cannot be reached"
_NOT_FROM_ITS_SEED = "not reproducible from its seed alone"
# The other kills wait for the session's first record, so that every such session gets further.
_SHARE_AT_ANY_MOMENT = 0.25


def kill_points(scene: Scene, times: int) -> Cost:
    """Kills a run at every named point, `times` times each."""
    moments = scene.random("kill points")
    cost = Cost(note=f"{times} at each of {len(KILL_POINTS)} points")
    for _ in range(times):
        path = scene.new_path()
        account = Account(path)
        begin = scene.start
        for point in moments.sample(KILL_POINTS, len(KILL_POINTS)):
            kill_point = f"{point}:{moments.randint(1, 2)}"
            with begin(path, EVENTS, kill_point, **CHECKPOINT_ALWAYS) as host:
                status = host.wait()
                expect(status == SIGKILLED, f"a run to be killed at {kill_point} ends with: {host.output}")
            account.fault()
            begin = scene.resume
        cost += account.close(scene.ends_equal(path))
        expect(not _orphans(path), f"weights that no record names are left: {_orphans(path)}")
    return cost


def host_at_random_moments(scene: Scene, times: int) -> Cost:
    """Kills the host process at random moments."""
    moments = scene.random("host")
    cost = Cost()
    while cost.hits < times:
        cost += _host_until_it_ends(scene, times - cost.hits, moments)
    return cost


def _host_until_it_ends(scene: Scene, times: int, moments: Random) -> Cost:
    """Kills the host process of one run until a session reaches the run's end, or `times` faults are done."""
    path = scene.new_path()
    account = Account(path)
    hits = 0
    while hits < times:
        # Without a manifest there is no run to resume.
        begun = (path / "manifest.json").exists()
        with scene.resume(path) if begun else scene.start(path) as host:
            _wait_for_a_moment(host, path, moments)
            if not host.kill():
                expect(host.wait() == 0, f"a session ends with: {host.output}")
                return account.close(scene.is_equal(path))
        account.fault()
        hits += 1
    return account.close(scene.ends_equal(path))


def ray_workers_at_random_moments(scene: Scene, times: int) -> Cost:
    """Kills random Ray workers at random moments; the host process goes on with others."""
    moments = scene.random("workers")
    cost = Cost(note="compared with a run on local lanes")
    while cost.hits < times:
        path = scene.new_path()
        account = Account(path)
        with scene.start(path, _WORKER_EVENTS, **RAY_FLAGS) as host:
            for _ in range(times - cost.hits):
                _wait_for_a_record(host, path)
                time.sleep(moments.uniform(0, _LONGEST_DELAY_SECONDS))
                workers = ray_workers(host.pid)
                if host.ended or not workers:
                    break
                os.kill(moments.choice(workers), signal.SIGKILL)
                account.fault()
            expect(host.wait() == 0, f"a session whose workers die ends with: {host.output}")
        reasons = {attempt.reason for attempt in journal(path).lost}
        expect(reasons <= {_DIED}, f"the journal says of killed workers: {reasons}")
        killed = account.close(scene.is_equal(path, _WORKER_EVENTS))
        expect(killed.hits > 0, f"no worker process was found to be killed: {path}")
        cost += killed
    return cost


def _wait_for_a_moment(host: Host, path: Path, moments: Random) -> None:
    if moments.random() > _SHARE_AT_ANY_MOMENT:
        _wait_for_a_record(host, path)
    time.sleep(moments.uniform(0, _LONGEST_DELAY_SECONDS))


def _wait_for_a_record(host: Host, path: Path) -> None:
    before = _records(path)
    host.wait_until(lambda: _records(path) > before)


def _records(path: Path) -> int:
    file = path / "journal.jsonl"
    return file.read_bytes().count(b'{"kind": "record"') if file.exists() else 0


def long_trainings(scene: Scene, times: int) -> Cost:
    """Kills a long training after some of its checkpoints; it must go on from the last one."""
    moments = scene.random("long trainings")
    path = scene.new_path()
    account = Account(path)
    begin, flags = scene.start, {**_LONG, **CHECKPOINT_ALWAYS}
    for _ in range(times):
        with begin(path, _LONG_EVENTS, f"after training checkpoint:{moments.randint(2, 4)}", **flags) as host:
            hit = host.wait() == SIGKILLED
        account.fault(hit)
        begin, flags = scene.resume, {"lanes": 1, **CHECKPOINT_ALWAYS}
        if not hit:
            break
    cost = account.close(scene.ends_equal(path, _LONG_EVENTS, **_LONG))
    steps = [attempt.first_step for attempt in journal(path).attempts if attempt.number > 1]
    expect(min(steps) > 0, f"a training that had a checkpoint begins at its first step again: {steps}")
    return cost


def five_deaths(scene: Scene, times: int) -> Cost:
    """Kills every training of one birth: the run stops and names it, and goes on when it is told to skip it.

    The seed alone does not give a run with a skipped birth again, so it is compared with its replay.
    """
    cost = Cost(note="compared with the replay")
    for number in range(times):
        path = scene.new_path()
        account = Account(path)
        begin, attempt = scene.start, 1 + 3 * number
        for _ in range(_MAX_DEATHS):
            with begin(path, EVENTS, f"after attempt:{attempt}", lanes=1) as host:
                expect(host.wait() == SIGKILLED, f"a run whose training dies ends with: {host.output}")
            account.fault()
            begin, attempt = scene.resume, 1  # The same birth is trained first again.
        cost += _skipped(scene, path, account)
    return cost


def _skipped(scene: Scene, path: Path, account: Account) -> Cost:
    counted = deaths(journal(path))
    doomed = max(counted, key=lambda birth_id: counted[birth_id])
    with scene.resume(path, lanes=1) as host:
        said = host.wait() == 1 and f"--skip-birth {doomed}" in host.output
        expect(said, f"after {_MAX_DEATHS} deaths in the training of {doomed} the run says: {host.output}")
    account.pause()
    with scene.resume(path, skip_birth=doomed) as host:
        said = host.wait() == 0 and _NOT_FROM_ITS_SEED in host.output
        expect(said, f"a run told to skip a birth ends with: {host.output}")
    run = jaxevo.open(path)
    failed = run.skipped == [doomed] and run.individual(doomed).accuracy == 0
    expect(failed, f"the run says that it skipped {run.skipped} instead of {doomed}")
    with Host(scene.folder, ["show", path]) as host:
        expect(
            host.wait() == 0 and _NOT_FROM_ITS_SEED in host.output, f"a run with a skipped birth shows: {host.output}"
        )
    again = scene.new_path()
    with Host(scene.folder, ["replay", path, "--workdir", again, "--lanes", 2]) as host:
        expect(host.wait() == 0, f"the replay ends with: {host.output}")
    return account.close(jaxevo.open(again).fingerprint == run.fingerprint)


def _orphans(path: Path) -> set[str]:
    named = {record.outcome.weights for record in journal(path).records.values()}
    return {folder.name for folder in (path / "weights").iterdir()} - {name for name in named if name is not None}
