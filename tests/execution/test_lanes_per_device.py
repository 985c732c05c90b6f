"""Several lanes that share a device: its data and its programs are there once, and the run is the same."""

import json
import os
import subprocess
import sys
import textwrap

import pytest
from helpers.births import task_of
from helpers.tiny_runs import TINY, flag_texts, jaxevo, start

import jaxevo as package
from jaxevo.data import load
from jaxevo.execution.placement import number_of_lanes
from jaxevo.execution.worker import Assignment, Worker
from jaxevo.settings import Execution, Settings

EVENTS = 16
TWO_DEVICES = "--xla_force_host_platform_device_count=2"

NOTING = """
import collections, json, sys
from pathlib import Path

from jaxevo.environment import prepare_process
from jaxevo.settings import Execution, Limits, Settings

execution = Execution(lanes_per_device=2)
assert prepare_process(execution)
import jax

from jaxevo.networks.programs import ProgramMaker
from jaxevo.execution.lane import Lane
from jaxevo.networks.trainer import Trainer
from jaxevo.session.progress import Watcher
from jaxevo.session.run import start_run

compiled, held, lanes = collections.Counter(), collections.Counter(), {}
compile_one, put, make_lane = ProgramMaker.make, Trainer.__init__, Lane.__init__

def compiling(self, architecture):
    compiled[self._devices.first.id, architecture] += 1
    return compile_one(self, architecture)

def putting(self, settings, dataset, devices, *others):
    held[devices.first.id] += 1
    put(self, settings, dataset, devices, *others)

def making(self, trainer, *others):
    assert trainer.devices.first == trainer.compiler._maker._devices.first
    lanes.setdefault(trainer.devices.first.id, []).append((id(trainer.images), id(trainer.compiler)))
    make_lane(self, trainer, *others)

ProgramMaker.make, Trainer.__init__, Lane.__init__ = compiling, putting, making
settings = Settings(**json.loads(sys.argv[2]))
start_run(Path(sys.argv[1]), settings, Limits(max_individuals=int(sys.argv[3])), execution, Watcher())
print(json.dumps({
    "devices": len(jax.local_devices()),
    "lanes": [len(on_device) for on_device in lanes.values()],
    "shared": [len(set(on_device)) for on_device in lanes.values()],
    "held": list(held.values()),
    "compiled": sorted(set(compiled.values())),
    "compiling": sorted({device for device, _ in compiled}),
}))
"""
"""A run on two lanes a device that notes what is put on the devices and compiled for them."""


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    path = tmp_path_factory.mktemp("plain") / "run"
    start(path, EVENTS)
    return package.open(path)


def test_two_lanes_on_each_of_two_devices_give_the_same_run_from_data_and_programs_that_are_there_once(tmp_path, plain):
    environment = os.environ | {"XLA_FLAGS": f"{os.environ['XLA_FLAGS']} {TWO_DEVICES}"}
    arguments = str(tmp_path / "run"), json.dumps(dict(TINY)), str(EVENTS)
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(NOTING), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    noted = json.loads(ended.stdout.splitlines()[-1])
    assert noted == {
        "devices": 2,
        "lanes": [2, 2],
        "shared": [1, 1],
        "held": [1, 1],
        "compiled": [1],
        "compiling": [0, 1],
    }
    assert package.open(tmp_path / "run").fingerprint == plain.fingerprint


def test_the_flag_gives_the_same_run(tmp_path, plain):
    flags = {**TINY, "workdir": tmp_path / "run", "max_individuals": EVENTS, "lanes_per_device": 3}
    ended = jaxevo("run", "--preset", "paper", *flag_texts(flags))
    assert ended.returncode == 0, ended.stderr
    assert "num_workers is 3 for 3 lanes" in ended.stdout + ended.stderr
    assert package.open(tmp_path / "run").fingerprint == plain.fingerprint


def test_the_flag_beside_lanes_is_refused(tmp_path):
    flags = {**TINY, "workdir": tmp_path / "run", "lanes_per_device": 3, "lanes": 2}
    ended = jaxevo("run", *flag_texts(flags))
    assert ended.returncode != 0
    assert "--lanes-per-device is 3, but must be left out beside lanes 2" in " ".join(ended.stderr.split())
    assert not (tmp_path / "run").exists()


def test_a_worker_of_a_cluster_has_as_many_on_each_of_its_devices(tmp_path):
    worker, dataset = Worker(Execution(lanes_per_device=3)), load(TINY["dataset"])
    machine, task = worker.describe(), task_of(dataset.image_shape)
    joined = worker.join(Assignment(Settings(**TINY), tmp_path, 1, task, (), machine, dataset.fingerprint))
    assert (joined.lanes, joined.refusal) == (3, "")
    assert worker.close() == []


# How many lanes there are.


class Device:
    def __init__(self, platform):
        self.platform = platform


class Group(list):
    """Devices, as far as lanes are counted."""

    first = property(lambda self: self[0])


@pytest.mark.parametrize(
    ("platform", "groups", "devices", "given", "lanes"),
    [
        ("gpu", 8, 1, {}, 8),
        ("gpu", 8, 1, {"lanes_per_device": 3}, 24),
        ("gpu", 8, 1, {"lanes": 3}, 3),
        ("gpu", 4, 2, {"devices_per_lane": 2}, 4),
        ("gpu", 4, 2, {"devices_per_lane": 2, "lanes_per_device": 1}, 4),
        ("cpu", 1, 1, {}, 5),
        ("cpu", 1, 1, {"lanes_per_device": 1}, 1),
        ("cpu", 1, 1, {"lanes_per_device": 2}, 2),
        ("cpu", 2, 2, {"devices_per_lane": 2}, 2),
    ],
)
def test_lanes_are_counted_in_all_or_for_each_device(monkeypatch, platform, groups, devices, given, lanes):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(5), raising=False)
    found = [Group(Device(platform) for _ in range(devices)) for _ in range(groups)]
    assert number_of_lanes(Execution(**given), found) == lanes
