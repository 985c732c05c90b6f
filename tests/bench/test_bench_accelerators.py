"""The measurements of `jaxevo bench` that are about accelerators, without one."""

import itertools
from types import SimpleNamespace

import jax
import pytest

from jaxevo.bench import compiling, ladder, memory
from jaxevo.bench.extent import QUICK
from jaxevo.bench.scaling import most_lanes, powers_of_two
from jaxevo.bench.steps import samples_within, seconds_a_step
from jaxevo.spaces.large_scale.architecture import architecture


class Chunked:
    """A training that takes as long for every begun chunk of 64 steps."""

    steps_a_call = 64

    def __init__(self) -> None:
        self.steps: list[int] = []

    def repeat(self, steps: int) -> None:
        self.steps.append(steps)


@pytest.fixture
def accelerator(monkeypatch):
    """Gives this machine two devices with memory that they tell of."""
    devices = [
        SimpleNamespace(platform="gpu", memory_stats=lambda peak=peak: {"bytes_in_use": 1, "peak_bytes_in_use": peak})
        for peak in (7, 9)
    ]
    monkeypatch.setattr(jax, "local_devices", lambda: devices)
    return devices


def test_steps_are_measured_in_whole_chunks(accelerator):
    training = Chunked()
    seconds_a_step(QUICK, training, None)
    assert all(steps % 64 == 0 for steps in training.steps)
    assert max(training.steps) <= ladder.PLANNED_STEPS
    alone = Chunked()
    seconds_a_step(QUICK, alone, QUICK.rung_seconds)
    assert len(training.steps) - len(alone.steps) == QUICK.repeats - samples_within(QUICK, QUICK.rung_seconds)


def test_lanes_go_to_eight_a_device_on_accelerators():
    group = SimpleNamespace(first=SimpleNamespace(platform="gpu"))
    assert powers_of_two(most_lanes([group])) == [1, 2, 4, 8]
    assert powers_of_two(most_lanes([group, group])) == [1, 2, 4, 8, 16]


def test_memory_is_that_of_the_fullest_device(accelerator):
    assert memory.high_water_mark() == memory.HighWaterMark(memory.DEVICE, 9)


def test_memory_is_that_of_the_process_if_the_device_does_not_tell(accelerator):
    for device in accelerator:
        device.memory_stats = lambda: None
    found = memory.high_water_mark()
    assert found.source == memory.PROCESS
    assert found.peak_bytes > 10 * 2**20


def test_compiled_architectures_all_differ():
    some = itertools.islice(compiling._genotypes(), 5000)
    assert len({architecture(genotype, ladder.IMAGE_SHAPE) for genotype in some}) == 5000
