"""Trains one network on each lane of a process with virtual CPU devices, and saves what comes out.

Run as a script, because a process has its number of devices from its start:
`virtual_devices.py FILE LANES DEVICES_PER_LANE STEPS PROGRAM`.
"""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np

from helpers.genotypes import BN_RELU, convolution, one_to_one
from jaxevo.environment import prepare_process
from jaxevo.environment.probe import module_path
from jaxevo.settings import Execution, Settings
from jaxevo.spaces.large_scale.architecture import architecture
from jaxevo.spaces.large_scale.genotype import Genotype

NETWORK = Genotype(
    0.05,
    (convolution(1, 4, (1, 1), 1, BN_RELU), convolution(2, 2), one_to_one(3, BN_RELU)),
    ((0, 2), (1, 3)),
)
"""image -> conv / 2, BN -> conv + image -> identity + first conv, BN -> pool"""

PROGRAMS = ("a step", "a chunk")
"""What a call of a program trains: on CPU, and on accelerators."""


def train(
    folder: Path, lanes: int, devices_per_lane: int, steps: int, program: str = "a step", timeout: float = 120
) -> list[dict[str, np.ndarray]]:
    """Returns the arrays that each lane has trained, in a process of its own."""
    file = folder / f"{lanes}x{devices_per_lane}.npz"
    arguments = map(str, (file, lanes, devices_per_lane, steps, program))
    command = [sys.executable, "-W", "error", __file__, *arguments]
    # A script finds the packages beside it, and not those of the tests.
    environment = {**os.environ, "PYTHONPATH": module_path()}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout, check=False)
    assert ended.returncode == 0, ended.stderr
    with np.load(file) as saved:
        arrays = dict(saved)
    return [
        {name.removeprefix(f"{lane} "): array for name, array in arrays.items() if name.startswith(f"{lane} ")}
        for lane in range(lanes)
    ]


def main(file: str, lanes: int, devices_per_lane: int, steps: int, program: str) -> None:
    """Trains on all lanes at once."""
    assert prepare_process(Execution(lanes, devices_per_lane))
    import jax

    from jaxevo.data import load
    from jaxevo.networks.batches import PLAN_AXIS, plan_training, put_images
    from jaxevo.networks.compilation import Compiler
    from jaxevo.networks.devices import Devices, device_groups
    from jaxevo.networks.schedules import learning_rates
    from jaxevo.networks.training import start
    from jaxevo.spaces.large_scale.inheritance import first_variables

    dataset = load("digits")
    settings = Settings(train_steps=steps, batch_size=48, crop_padding=1, flip=True)
    arrays: dict[str, np.ndarray] = {}

    def trained(lane: int, devices: Devices) -> None:
        compiler = Compiler(settings, dataset, devices, step_by_step=program == "a step")
        programs = compiler.programs(architecture(NETWORK, dataset.image_shape))
        variables = first_variables(0, 1, NETWORK, programs.shapes.variables, None)
        carry = jax.device_put(start(variables, programs.shapes), devices.everywhere)
        plan = devices.put_split(plan_training(0, 1, settings, dataset), PLAN_AXIS)
        rates = learning_rates("constant", NETWORK.learning_rate, steps)
        carry = programs.train(carry, put_images(dataset, devices.everywhere), plan, rates, 0, steps)
        for path, array in jax.tree_util.tree_leaves_with_path(carry):
            assert {shard.device for shard in array.addressable_shards} == set(devices), "another lane's devices"
            copies = [np.asarray(shard.data) for shard in array.addressable_shards]
            assert all((copy == copies[0]).all() for copy in copies), "devices do not agree"
            arrays[f"{lane} {jax.tree_util.keystr(path)}"] = copies[0]

    groups = device_groups(devices_per_lane)
    assert len(groups) == lanes
    threads = [threading.Thread(target=trained, args=numbered) for numbered in enumerate(groups)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.savez(file, **arrays)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5])
