"""What of a machine may shape a result, as typed facts."""

import dataclasses
import json
import os

import jax
import pytest

from jaxevo.execution.machine import describe_machine
from jaxevo.settings import Execution
from jaxevo.storage.machine import Machine, differences, machine_from_json

MACHINE = Machine({"jax": "0.10.2"}, "cpu", "cpu", "cpu", 1, "x86_64", ("avx", "fma"), ("--xla_a=1", "--xla_b=2"), 1)


def test_this_machine_is_described_by_typed_facts():
    machine = describe_machine(Execution(devices_per_lane=2))
    assert machine.packages["jax"] == jax.__version__
    assert machine.devices_per_lane == 2
    assert machine.platform == "cpu"
    assert machine.xla_flags == tuple(os.environ["XLA_FLAGS"].split())
    assert machine.thread_pool == 1


def test_the_number_of_cores_counts_only_where_the_pool_has_a_thread_for_each(monkeypatch):
    machines = []
    for cores in (2, 8):
        monkeypatch.setattr(os, "sched_getaffinity", lambda process, cores=cores: set(range(cores)), raising=False)
        machines.append(describe_machine(Execution()))
    assert differences(*machines) == []
    monkeypatch.delenv("NPROC")
    assert differences(describe_machine(Execution()), machines[0]) == ["thread pool is 8, but was 1"]


def test_a_machine_is_read_back_from_json():
    assert machine_from_json(json.loads(json.dumps(dataclasses.asdict(MACHINE)))) == MACHINE


@pytest.mark.parametrize(
    "change",
    [
        {"devices_per_lane": "2"},
        {"thread_pool": 1.5},
        {"vectors": "avx"},
        {"packages": None},
        {"platform": 3},
        {"unknown": 1},
    ],
)
def test_a_field_of_another_type_is_refused(change):
    with pytest.raises(ValueError, match=r"machine"):
        machine_from_json(json.loads(json.dumps(dataclasses.asdict(MACHINE))) | change)


def test_each_fact_that_differs_is_named():
    other = dataclasses.replace(
        MACHINE, packages={"jax": "0.12.0"}, device="TPU v4", xla_flags=("--xla_a=1",), thread_pool=None
    )
    assert differences(other, MACHINE) == [
        "jax is '0.12.0', but was '0.10.2'",
        "device is 'TPU v4', but was 'cpu'",
        "XLA_FLAGS is '--xla_a=1', but was '--xla_a=1 --xla_b=2'",
        "thread pool is None, but was 1",
    ]
    assert differences(MACHINE, MACHINE) == []
