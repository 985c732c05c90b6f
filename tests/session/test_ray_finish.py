"""The finish on the workers of a Ray cluster: the one of this machine, whatever happens to a worker."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.ray_cluster import LoopbackCluster, joined_cluster
from helpers.tiny_runs import command, start

from jaxevo.reports.verify import verify_run
from jaxevo.session.finish import finish_run
from jaxevo.session.progress import Watcher
from jaxevo.settings import Execution
from jaxevo.storage.history import History
from jaxevo.storage.workdir import Workdir

pytest.importorskip("ray", reason="Ray is not installed: pip install 'jaxevo[ray]'")

# Some seconds of training, to be hit in the middle.
SHARE = 150.0
ONE_WORKER = Execution(lanes=1, executor="ray", checkpoint_seconds=0.5)


class Killer(Watcher):
    """Kills the worker that joined last, once it has trained for a while after a checkpoint."""

    def __init__(self, path: Path, kills: int) -> None:
        self.path = path
        self.kills = kills
        self.notices: list[str] = []
        self.steps: list[int] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def finishing(self, step: int, steps: int) -> None:
        self.steps.append(step)
        if len(self.joined) <= self.kills and checkpoint_step(self.path) > 0:
            os.kill(self.joined[-1], signal.SIGKILL)

    @property
    def joined(self) -> list[int]:
        return [int(text.split("process ")[1].split(",")[0]) for text in self.notices if ", joined" in text]


def checkpoint_step(path: Path) -> int:
    names = [found.name for found in path.glob("finish/training/*/training/*") if found.name.count("-") == 2]
    return max((int(name.split("-")[2]) for name in names if name.split("-")[2].isdecimal()), default=0)


def finish_of(path: Path):
    return History(Workdir(path)).finish


@pytest.fixture(scope="module")
def cluster() -> Iterator[LoopbackCluster]:
    with joined_cluster() as started:
        yield started


@pytest.fixture(scope="module")
def evolved(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("evolved") / "run"
    start(path, 14)
    return path


@pytest.fixture(scope="module")
def finished(evolved, tmp_path_factory) -> Path:
    """A run that this machine has finished."""
    path = Path(shutil.copytree(evolved, tmp_path_factory.mktemp("finished") / "run"))
    finish_run(path, SHARE, Execution(1), Watcher())
    return path


@pytest.fixture
def copied(evolved, tmp_path) -> Path:
    return Path(shutil.copytree(evolved, tmp_path / "run"))


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced_and_the_finish_goes_on_to_the_same_bits(cluster, copied, finished):
    watcher = Killer(copied, kills=1)
    finish_run(copied, SHARE, ONE_WORKER, watcher)
    finish, local = finish_of(copied), finish_of(finished)
    assert (finish.weights_sha256, finish.test_accuracy) == (local.weights_sha256, local.test_accuracy)
    assert finish.steps == local.steps
    assert len(watcher.joined) == 2
    assert sum("is lost (it died" in text for text in watcher.notices) == 1
    assert max(watcher.steps) > 0
    assert [name.name for name in (copied / "finish").iterdir() if name.is_dir()] == ["weights"]
    assert verify_run(copied, None, lambda _: None) == []


@pytest.mark.slow
def test_a_signal_stops_it_within_seconds_and_any_machine_goes_on_from_its_checkpoint(copied, finished):
    flags = ["--share", SHARE, "--executor", "ray", "--lanes", 1]
    with subprocess.Popen(
        command("finish", copied, *flags), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as host:
        lines = []
        for line in host.stdout:
            lines.append(line)
            if "training the best individual on" in line:
                break
        host.send_signal(signal.SIGTERM)
        began = time.monotonic()
        output, _ = host.communicate(timeout=60)
    # Five seconds on a quiet machine.
    assert time.monotonic() - began < 45
    output = "".join(lines) + output
    assert host.returncode == 130, output
    assert f"jaxevo finish {copied} --share 150" in output
    assert checkpoint_step(copied) > 0
    assert finish_of(copied) is None
    finish_run(copied, SHARE, Execution(1), Watcher())
    assert finish_of(copied).weights_sha256 == finish_of(finished).weights_sha256
