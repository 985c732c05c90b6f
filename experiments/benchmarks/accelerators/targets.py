"""Accelerators that are not there: their descriptions, and the environment to compile for them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jaxevo.environment.flags import GPU_FLAGS

if TYPE_CHECKING:
    import jax


@dataclass(frozen=True)
class Target:
    """A kind of accelerator.

    Attributes:
        name: of the kind.
        platform: that describes it, as JAX's topologies name it.
        topology: of one host with at least four devices.
    """

    name: str
    platform: str
    topology: str


TARGETS = {
    target.name: target
    for target in (
        Target("v5e", "tpu", "v5e:2x2"),
        Target("H100", "cuda", "1x4x1"),
        Target("v4", "tpu", "v4:2x2x1"),
        Target("v5p", "tpu", "v5p:2x2x1"),
        Target("v6e", "tpu", "v6e:2x2"),
    )
}


def set_environment(target: Target, flags: Sequence[str] = ()) -> None:
    """Sets the environment variables to compile for a target, before JAX is imported.

    Args:
        target: the target.
        flags: further flags for the target's XLA.
    """
    gpu_flags = GPU_FLAGS if target.platform == "cuda" else ()
    os.environ.update(
        JAX_PLATFORMS="cpu",
        XLA_FLAGS=" ".join((*gpu_flags, *(flags if target.platform == "cuda" else ()))),
        LIBTPU_INIT_ARGS=" ".join(flags if target.platform == "tpu" else ()),
        # libtpu would ask the metadata server of a TPU VM what machine this is, and allow one process at a time.
        TPU_SKIP_MDS_QUERY="1",
        ALLOW_MULTIPLE_LIBTPU_LOAD="1",
        # It complains if it does not find out these two, and does not use them.
        TPU_ACCELERATOR_TYPE="v5litepod-4",
        TPU_WORKER_HOSTNAMES="localhost",
        TF_CPP_MIN_LOG_LEVEL="3",
    )


def described_devices(target: Target, count: int) -> "list[jax.Device]":
    """Returns the first devices of a described host, on which nothing can run.

    Raises:
        RuntimeError: if the target's compiler is not installed.
    """
    from jax.experimental import topologies

    if target.platform == "cuda":
        description = (Path(__file__).parent / "h100.txtpb").read_text()
        described = topologies.get_topology_desc(
            platform=target.platform, target_config=description, topology=target.topology
        )
    else:
        described = topologies.get_topology_desc(platform=target.platform, topology_name=target.topology)
    return described.devices[:count]
