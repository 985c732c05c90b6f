"""The machine that trains, as far as it may affect the last bits of a result. The manifest holds it."""

import dataclasses
import importlib.metadata
from dataclasses import dataclass
from typing import Any

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


@dataclass(frozen=True)
class Machine:
    """All that may affect the last bits of a result, beside settings and data.

    Attributes:
        packages: versions of the numerical packages, by name.
        platform: platform of the devices: cpu, gpu, tpu.
        device: kind of the devices, as JAX names it.
        runtime: version of the runtime on the devices, including the driver; JAX's own on CPU.
        devices_per_lane: devices that share the training of an individual.
        processor: architecture of the host's processor.
        vectors: the processor's vector instruction sets, sorted. XLA and NumPy compute with them.
        xla_flags: XLA flags, in order.
        thread_pool: threads of XLA's pool on CPU, which share a single operation. Through it alone the number of cores
            affects a result; it is one thread if jaxevo prepared the process, for any number of cores and lanes.
            Virtual devices add threads to the pool, which operations do not use. None on accelerators.
    """

    packages: dict[str, str]
    platform: str
    device: str
    runtime: str
    devices_per_lane: int
    processor: str
    vectors: tuple[str, ...]
    xla_flags: tuple[str, ...]
    thread_pool: int | None

    def facts(self) -> dict[str, str | int | None]:
        """Returns all facts by the names that users read."""
        return {
            **self.packages,
            "platform": self.platform,
            "device": self.device,
            "runtime": self.runtime,
            "devices per lane": self.devices_per_lane,
            "processor": self.processor,
            "instruction sets": " ".join(self.vectors),
            "XLA_FLAGS": " ".join(self.xla_flags),
            "thread pool": self.thread_pool,
        }


def software_versions() -> dict[str, str]:
    """Returns the versions of the numerical packages, by name."""
    return {name: importlib.metadata.version(name) for name in _PACKAGES}


def differences(here: Machine, began: Machine) -> list[str]:
    """Returns the beginning of a sentence for each fact that differs from the machine that began a run."""
    facts, before = here.facts(), began.facts()
    return [
        f"{name} is {facts.get(name)!r}, but was {before.get(name)!r}"
        for name in {**facts, **before}
        if facts.get(name) != before.get(name)
    ]


def machine_from_json(fields: Any) -> Machine:
    """Returns the machine that `dataclasses.asdict` serialised.

    Raises:
        ValueError: if a field is missing, unknown, or of another type.
    """
    kinds: dict[str, type | tuple[type, ...]] = {
        "packages": dict,
        "devices_per_lane": int,
        "vectors": list,
        "xla_flags": list,
        "thread_pool": (int, type(None)),
    }
    known = {field.name for field in dataclasses.fields(Machine)}
    if not isinstance(fields, dict) or fields.keys() != known:
        raise ValueError(f"the machine is {fields!r}, but must have the fields {', '.join(sorted(known))}")
    for name, value in fields.items():
        if not isinstance(value, kinds.get(name, str)):
            raise ValueError(f"{name} of the machine is {value!r}")
    lists = {name: tuple(fields[name]) for name in ("vectors", "xla_flags")}
    return Machine(**{**fields, **lists})
