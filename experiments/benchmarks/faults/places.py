"""Moved data, foreign names, a cache that cannot be written, and a fork of a process in which JAX runs."""

import functools
import os
from pathlib import Path

import numpy as np

import jaxevo
from experiments.benchmarks.faults.account import Account, Cost, expect
from experiments.benchmarks.faults.host import apart
from experiments.benchmarks.faults.scene import EVENTS, Scene
from jaxevo.data import load

_TOLD = 10
_FOREIGN = (".DS_Store", "000001-1 (conflicted copy)", "plots/1.png", "12.tmp~")


def moved(scene: Scene, times: int) -> Cost:
    """Moves a stopped run together with its data set, an `.npz` file."""
    cost = Cost(note="run and data together")
    for _ in range(times):
        begun, moved_to = scene.new_path(), scene.new_path()
        begun.mkdir()
        _save_digits(begun / "mine.npz")
        scene.ran(begun / "run", _TOLD, dataset=begun / "mine.npz")
        begun.rename(moved_to)
        account = Account(moved_to / "run")
        account.fault()
        cost += account.close(scene.ends_equal(moved_to / "run"))
    return cost


def _save_digits(path: Path) -> None:
    """Saves the embedded digits such that they are cut as before."""
    digits = load("digits")
    images, labels = (np.concatenate(parts) for parts in zip(digits.train, digits.validation, strict=True))
    np.savez(
        path, train_images=images, train_labels=labels, test_images=digits.test.images, test_labels=digits.test.labels
    )


def foreign_names(scene: Scene, times: int) -> Cost:
    """Puts names that are not ours into every folder of a stopped run: they stay, and the run goes on."""
    cost = Cost()
    for _ in range(times):
        path = scene.ran(scene.new_path(), _TOLD)
        names = [folder / name for folder in (path, path / "weights", path / "snapshots") for name in _FOREIGN]
        for name in names:
            name.parent.mkdir(exist_ok=True)
            name.write_text("not ours")
        account = Account(path)
        account.fault()
        cost += account.close(scene.ends_equal(path))
        gone = [str(name) for name in names if not name.exists()]
        expect(not gone, f"names that are not ours were removed: {', '.join(gone)}")
    return cost


def unwritable_cache(scene: Scene, times: int) -> Cost:
    """Lets the cache folder be a file: one notice, and the same run."""
    cost = Cost(note="every start compiles anew")
    for _ in range(times):
        path, cache = scene.new_path(), scene.new_path()
        cache.write_text("a file")
        spoil = functools.partial(_use_cache, str(cache))
        with scene.start(path, EVENTS, disturb=spoil) as host:
            expect(host.wait() == 0, f"a run without a cache ends with: {host.output}")
            expect(host.output.count(str(cache)) == 1, f"of the cache, a run says: {host.output}")
        account = Account(path)
        account.fault()
        cost += account.close(scene.is_equal(path))
    return cost


def _use_cache(folder: str) -> None:
    os.environ["JAXEVO_CACHE_DIR"] = folder


def forked(scene: Scene, times: int) -> Cost:
    """Resumes a run in a fork of a process in which JAX has computed."""
    cost = Cost()
    for _ in range(times):
        path = scene.ran(scene.new_path(), _TOLD)
        account = Account(path)
        account.fault()
        status = apart(_resume_in_a_fork, path)
        expect(status == 0, f"a fork of a process in which JAX runs ends with status {status}")
        cost += account.close(scene.is_equal(path))
    return cost


def _resume_in_a_fork(path: Path) -> int:
    run = jaxevo.open(path)
    run.best.predict(run.dataset.test.images[:1])
    child = os.fork()
    if child == 0:
        try:
            jaxevo.open(path).resume(max_individuals=EVENTS, lanes=2)
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
