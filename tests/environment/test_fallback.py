"""An accelerator that this machine seems to have, and that JAX did not find."""

import importlib.metadata

import pytest

from jaxevo.environment import fallback
from jaxevo.environment.fallback import fallback_problem


@pytest.fixture(autouse=True)
def bare_cpu(monkeypatch, tmp_path):
    """Stands for a machine without an accelerator, on which nobody asked for the CPU."""
    for name in ("JAX_PLATFORMS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(fallback, "prepared_platform", lambda: "cpu")
    monkeypatch.setattr(fallback, "_DEVICE_FILES", (str(tmp_path / "nvidia[0-9]*"),))
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [])
    monkeypatch.setattr(importlib.metadata, "distributions", lambda name: [])


@pytest.fixture
def gpu(tmp_path):
    (tmp_path / "nvidia0").touch()
    return str(tmp_path / "nvidia0")


def test_a_machine_without_accelerators_has_no_problem():
    assert fallback_problem() is None


def test_a_device_that_jax_did_not_find_is_said_aloud(gpu):
    problem = fallback_problem()
    assert gpu in problem
    for advice in ("jax.devices()", "jaxevo[cuda13]", "JAX_PLATFORMS=cpu"):
        assert advice in problem


def test_a_plugin_without_its_device_is_said_aloud(monkeypatch):
    class Libtpu:
        name = "libtpu"

    monkeypatch.setattr(importlib.metadata, "distributions", lambda name: [Libtpu()])
    assert "has libtpu" in fallback_problem()


@pytest.mark.parametrize("platform", ["gpu", "tpu", None])
def test_nothing_is_said_if_an_accelerator_is_used_or_jax_is_not(gpu, monkeypatch, platform):
    monkeypatch.setattr(fallback, "prepared_platform", lambda: platform)
    assert fallback_problem() is None


@pytest.mark.parametrize(("name", "value"), [("JAX_PLATFORMS", "cpu"), ("CUDA_VISIBLE_DEVICES", "-1")])
def test_nothing_is_said_if_the_cpu_is_meant(gpu, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert fallback_problem() is None
