"""Runs and their data move, caches fail, foreign names lie about: a run goes on, or one sentence says what to do."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.tiny_runs import TINY, resume, start

import jaxevo
from jaxevo.data.dataset import Dataset
from jaxevo.networks.trainer import Training
from jaxevo.reports.result import write_result
from jaxevo.session import run as session_run
from jaxevo.session.progress import Watcher
from jaxevo.session.run import replay_run, resume_run, start_run
from jaxevo.settings import Execution, Limits, Settings
from jaxevo.storage.workdir import WorkdirError, check_path


class Noticing(Watcher):
    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)


def save_arrays(path: Path, seed: int = 0) -> None:
    images = np.random.default_rng(seed).integers(0, 256, (60, 6, 6, 1), np.uint8)
    labels = np.arange(60) % 3
    np.savez(path, train_images=images, train_labels=labels, test_images=images[:9] ^ 255, test_labels=labels[:9])


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run and its data set side by side."""
    folder = tmp_path_factory.mktemp("begun")
    save_arrays(folder / "cifar10.npz")
    start(folder / "run", 5, dataset=str(folder / "cifar10.npz"))
    return folder


@pytest.fixture
def moved(begun: Path, tmp_path: Path) -> Path:
    """The same folder at another place; the first one is gone."""
    shutil.copytree(begun, tmp_path / "there")
    hidden = begun.with_name("hidden")
    begun.rename(hidden)
    yield tmp_path / "there"
    hidden.rename(begun)


def test_a_run_and_its_data_may_move_together(moved: Path) -> None:
    watcher = Noticing()
    resume_run(moved / "run", Limits(max_individuals=7), Execution(2), watcher)
    assert f"the data set has moved with the work folder: it is {moved / 'cifar10.npz'}" in watcher.notices
    write_result(moved / "run")
    run = jaxevo.open(moved / "run")
    assert run.test().best == run.best.test_accuracy
    assert run.verify() == []


def test_the_data_may_move_alone(moved: Path, tmp_path: Path) -> None:
    other = tmp_path / "photos.npz"
    (moved / "cifar10.npz").rename(other)
    with pytest.raises(WorkdirError, match=r"is neither .*cifar10.npz nor .*: give its place with --dataset"):
        resume(moved / "run", 7)
    run = jaxevo.open(moved / "run", dataset=other)
    # The augmentation by default is that of the name which the run began with.
    assert (run.dataset.crop_padding, run.dataset.flip) == (4, True)
    assert run.verify() == []
    resume_run(moved / "run", Limits(max_individuals=7), Execution(2), Watcher(), dataset_place=str(other))
    replay_run(moved / "run", tmp_path / "again", Execution(2), Watcher(), str(other))
    assert jaxevo.open(tmp_path / "again").fingerprint == jaxevo.open(moved / "run").fingerprint


def test_other_data_is_refused(begun: Path, tmp_path: Path) -> None:
    save_arrays(tmp_path / "other.npz", seed=1)
    with pytest.raises(WorkdirError, match="other.npz' is not the one that the run .* began with: restore that one"):
        resume_run(begun / "run", Limits(), Execution(2), Watcher(), dataset_place=str(tmp_path / "other.npz"))
    assert any(
        "other.npz' is not the one" in one for one in jaxevo.verify(begun / "run", dataset=tmp_path / "other.npz")
    )


def test_arrays_in_memory_stay_in_the_work_folder(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).random((60, 6, 6))
    labels = np.array([3, 5, 9])[np.arange(60) % 3]
    data = jaxevo.Data(train=(pixels, labels))
    settings = {name: value for name, value in TINY.items() if name != "dataset"}
    run = jaxevo.evolve(tmp_path / "run", dataset=data, max_individuals=4, lanes=2, **settings)
    (tmp_path / "run").rename(tmp_path / "moved")
    again = jaxevo.open(tmp_path / "moved").resume(max_individuals=5)
    assert again.manifest.data_fingerprint == run.manifest.data_fingerprint
    test = again.dataset.test
    assert set(test.labels.tolist()) == {3, 5, 9} >= set(again.best.predict(test.images).tolist())
    assert again.best.evaluate(*test) == again.best.test_accuracy
    with pytest.raises(ValueError, match="labels: 4 is no label of the run"):
        again.best.evaluate(test.images[:1], [4])
    copy = again.replay(tmp_path / "copy")
    shutil.rmtree(tmp_path / "moved")
    assert copy.dataset.fingerprint == jaxevo.open(tmp_path / "copy").dataset.fingerprint


def test_arrays_in_memory_are_read_from_the_work_folder_by_all_nodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    class Noting:
        def __init__(self, run: object, dataset: Dataset, *_: object) -> None:
            seen.append(dataset.source)

        def evolve(self, *_: object) -> None:
            pass

    monkeypatch.setattr(session_run, "Session", Noting)
    save_arrays(tmp_path / "data.npz")
    settings = Settings(**{**TINY, "dataset": str(tmp_path / "data.npz")})
    start_run(tmp_path / "run", settings, Limits(max_individuals=1), Execution(1), Watcher(), keep_data=True)
    assert seen == [str(tmp_path / "run" / "data.npz")]


def test_data_that_is_no_array_is_told(tmp_path: Path) -> None:
    images, labels = np.zeros((20, 4, 4), np.uint8), [None] * 20
    with pytest.raises(ValueError, match="train labels: NoneType objects are given; give numbers or text"):
        jaxevo.evolve(tmp_path / "run", dataset=jaxevo.Data(train=(images, labels)))
    with pytest.raises(ValueError, match=r"train: ndarray is given; give a pair, \(images, labels\)"):
        jaxevo.evolve(tmp_path / "run", dataset=jaxevo.Data(train=images))  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_numbers_of_numpy_and_paths_are_numbers_and_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings(
        seed=np.arange(3)[1], population_size=np.int32(8), momentum=np.float32(0.5), flip=np.bool_(True)
    )
    assert settings == Settings(seed=1, population_size=8, momentum=0.5, flip=True)
    assert type(settings.population_size) is int
    assert Settings(dataset=Path("digits")).dataset == str(tmp_path / "digits")  # type: ignore[arg-type]


def test_paths_are_absolute_at_once_and_the_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert check_path("~/runs/a") == tmp_path / "home" / "runs" / "a"
    assert check_path("run") == tmp_path / "run"
    with pytest.raises(WorkdirError, match="the home of an unknown user: give a full path"):
        check_path("~nobody-at-all/run")


def test_changing_folder_harms_nothing(begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(begun)
    run = jaxevo.open("run", dataset="cifar10.npz")
    monkeypatch.chdir(tmp_path)
    assert run.best.variables["params"]
    assert run.dataset.num_classes == 3


def test_names_that_are_not_ours_are_left_alone(begun: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    shutil.copytree(begun / "run", path)
    (path / "training").mkdir(exist_ok=True)
    foreign = []
    for folder in (path, path / "weights", path / "snapshots", path / "training"):
        for name in (".DS_Store", "notes.txt~", "000001-1 (conflicted copy)"):
            (folder / name).write_text("mine")
            foreign.append(folder / name)
        (folder / "my plots").mkdir()
        (folder / "my plots" / "1.png").write_text("mine")
        foreign.append(folder / "my plots" / "1.png")
    resume(path, 7)
    write_result(path)
    assert jaxevo.open(path).events == 7
    assert jaxevo.verify(path) == []
    assert [one for one in foreign if not one.exists()] == []


def test_a_folder_with_nothing_but_what_a_desktop_left_takes_a_run(tmp_path: Path) -> None:
    for name in (".DS_Store", "Thumbs.db", "._run"):
        (tmp_path / name).write_text("x")
    start(tmp_path, 2)
    assert (tmp_path / ".DS_Store").exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "data.npz").write_text("the user's own")
    with pytest.raises(WorkdirError, match="is not empty, but holds no run"):
        start(tmp_path / "other", 2)


def test_a_cache_that_cannot_be_used_costs_a_notice(
    begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("a file")
    monkeypatch.setenv("JAXEVO_CACHE_DIR", str(tmp_path / "cache"))
    watcher = Noticing()
    start_run(tmp_path / "run", Settings(**TINY), Limits(max_individuals=2), Execution(1), watcher)
    (said,) = [one for one in watcher.notices if "cache" in one]
    assert "cannot be used" in said
    assert "JAXEVO_CACHE_DIR" in said


def test_keep_all_keeps_what_the_dead_leave(tmp_path: Path) -> None:
    execution = Execution(2, keep="all")
    start_run(tmp_path / "run", Settings(**TINY), Limits(max_individuals=14), execution, Watcher())
    run = jaxevo.open(tmp_path / "run")
    dead = set(run.history["id"]) - {one.id for one in run.population}
    assert dead
    for individual_id in dead:
        assert run.network(individual_id).variables["params"]


def test_max_seconds_drops_a_training_in_flight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, advance, begun = SimpleNamespace(seconds=0.0), Training.advance, []

    def time_is_over(training: Training, steps: int) -> None:
        begun.append(training)
        clock.seconds = 10.0
        advance(training, steps)

    monkeypatch.setattr(session_run, "SessionClock", lambda: clock)
    monkeypatch.setattr(Training, "advance", time_is_over)
    settings = Settings(**TINY | {"train_steps": 200_000})
    ended = start_run(tmp_path / "run", settings, Limits(max_seconds=3), Execution(1), Watcher())
    assert ended.stop_reason == "max_seconds"
    assert ended.progress.state.events == 0
    assert not begun[0].done
    write_result(tmp_path / "run")
    assert jaxevo.verify(tmp_path / "run") == []


def python(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_windows_is_refused_with_one_sentence() -> None:
    done = python("import sys; sys.platform = 'win32'\nfrom jaxevo.__main__ import main\nsys.exit(main())")
    assert done.returncode == 2
    assert done.stderr.startswith("jaxevo: error: jaxevo does not run on Windows itself")
    assert "WSL" in done.stderr
    assert done.stderr.count("\n") == 1
    done = python("import sys, jaxevo\nsys.platform = 'win32'\njaxevo.evolve")
    assert "OSError: jaxevo does not run on Windows itself" in done.stderr


def test_a_run_needs_none_of_the_functions_that_only_linux_has(tmp_path: Path) -> None:
    program = f"""
import os, platform
for name in ("sched_getaffinity", "sched_setaffinity", "posix_fadvise", "posix_fallocate", "memfd_create", "pipe2"):
    if hasattr(os, name):
        delattr(os, name)
opened = open
def macos_open(path, *arguments, **options):
    if str(path).startswith("/proc/"):
        raise FileNotFoundError(2, "No such file or directory", path)
    return opened(path, *arguments, **options)
import builtins
builtins.open = macos_open
import jaxevo
run = jaxevo.evolve({str(tmp_path / "run")!r}, max_individuals=2, train_steps=4, dataset="digits")
print(run.events)
"""
    done = python(program)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("2\n")
