"""The machine that trains, as far as it may shape a result's last bits: a part of the manifest."""

import dataclasses
import importlib.metadata
from dataclasses import dataclass
from typing import Any

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


@dataclass(frozen=True)
class Machine:
    """What may shape the last bits of a result, beside settings and data.

    Attributes:
        packages: versions of the packages that compute, by name.
        platform: of the devices: cpu, gpu, tpu.
        device: the kind of the devices, in their maker's words.
        runtime: version of what runs programs on the devices, the driver's included; JAX's own on CPU.
        devices_per_lane: devices that share the training of an individual.
        processor: architecture of the host's processor.
        vectors: the processor's vector instruction sets, sorted. XLA and NumPy compute with them.
        xla_flags: in their order.
        thread_pool: threads of XLA's pool on CPU, which share a single operation. That is all that the number of cores
            can change: one thread if jaxevo prepared the process, whatever the number of cores and lanes. Virtual
            devices add threads to the pool, which operations do not use. None on accelerators, which compute alone.
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
        """Returns each fact under the name that a user knows it by."""
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
    """Returns the versions of the packages that shape a result."""
    return {name: importlib.metadata.version(name) for name in _PACKAGES}


def differences(here: Machine, began: Machine) -> list[str]:
    """Returns, for each fact that differs from where a run began, the beginning of a sentence."""
    facts, before = here.facts(), began.facts()
    return [
        f"{name} is {facts.get(name)!r}, but was {before.get(name)!r}"
        for name in {**facts, **before}
        if facts.get(name) != before.get(name)
    ]


def machine_from_json(fields: Any) -> Machine:
    """Returns the machine that `dataclasses.asdict` wrote.

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
