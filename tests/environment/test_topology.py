"""The chips that a host of a TPU slice uses."""

import pytest

from jaxevo.environment import topology
from jaxevo.environment.topology import single_host_topology

NAMES = ("TPU_VISIBLE_CHIPS", "TPU_PROCESS_BOUNDS")


@pytest.fixture(autouse=True)
def without_topology(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(("chips", "bounds"), [(1, "1,1,1"), (4, "2,2,1"), (8, "2,4,1")])
def test_a_host_of_a_slice_uses_all_of_its_own_chips_and_no_other(monkeypatch, chips, bounds):
    monkeypatch.setattr(topology, "_chips", lambda: chips)
    variables = single_host_topology()
    assert variables["TPU_PROCESS_BOUNDS"] == "1,1,1"
    assert variables["TPU_CHIPS_PER_PROCESS_BOUNDS"] == bounds
    assert variables["TPU_VISIBLE_CHIPS"] == ",".join(map(str, range(chips)))
    assert variables["TPU_PROCESS_ADDRESSES"].startswith("localhost:")


def test_chips_that_ray_gave_are_kept_to(monkeypatch):
    monkeypatch.setattr(topology, "_chips", lambda: 4)
    monkeypatch.setenv("TPU_VISIBLE_CHIPS", "2,3")
    variables = single_host_topology()
    assert variables["TPU_VISIBLE_CHIPS"] == "2,3"
    assert variables["TPU_CHIPS_PER_PROCESS_BOUNDS"] == "1,2,1"


def test_a_topology_that_the_user_set_is_left_alone(monkeypatch):
    monkeypatch.setattr(topology, "_chips", lambda: 4)
    monkeypatch.setenv("TPU_PROCESS_BOUNDS", "2,2,1")
    assert single_host_topology() == {}


def test_a_machine_without_chips_needs_no_topology(monkeypatch):
    monkeypatch.setattr(topology, "_chips", lambda: 0)
    assert single_host_topology() == {}
