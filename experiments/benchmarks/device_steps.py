"""Measures training steps on one device, by network of the bench's ladder, batch size and number of lanes.

    python -m experiments.benchmarks.device_steps --networks "conv 3" ResNet-20 --lanes 1 2 4 --profile

Every line of output is a JSON object. `bits` is a hash of the arrays after some steps: on equal devices and software it
should be equal. --profile adds the kernels of each network on a GPU: how many a step launches, how long the device is
busy, and which kernels take most of it. For results see docs/h100.md.
"""

import argparse
import collections
import hashlib
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.entry import exit_with, prepare, program
from jaxevo.bench import ladder
from jaxevo.settings import ComputeDtype, Execution

if TYPE_CHECKING:
    from jaxevo.networks.programs import Programs
    from jaxevo.networks.trainer import Training

_SAMPLES = 3
_HASHED_STEPS = 128
_PROFILED_CALLS = 2
_MOST_KERNELS = 6


def main(arguments: list[str] | None = None) -> int:
    """Measures the networks that the arguments name; returns 0."""
    parser = program("experiments.benchmarks.device_steps", __doc__)
    names = list(ladder.ladder())
    parser.add_argument("--networks", nargs="+", choices=names, default=names, help="default: all")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[50], help="default: 50")
    parser.add_argument("--lanes", type=int, nargs="+", default=[1], help="default: 1")
    parser.add_argument("--seconds", type=float, default=1.5, help="of a measurement; default: 1.5")
    parser.add_argument("--bfloat16", action="store_true", help="compute in bfloat16")
    parser.add_argument("--fast", action="store_true", help="leave deterministic operations off")
    parser.add_argument("--profile", action="store_true", help="list kernels (GPUs)")
    given = parser.parse_args(arguments)
    prepare(Execution(fast=given.fast))
    _measure(given)
    return 0


def _measure(given: argparse.Namespace) -> None:
    import dataclasses
    import os

    import jax

    from jaxevo.networks.devices import Devices
    from jaxevo.networks.trainer import Trainer

    device = jax.local_devices()[0]
    _say(device=device.device_kind, jax=jax.__version__, flags=os.environ["XLA_FLAGS"])
    for batch_size in given.batch_sizes:
        dtype: ComputeDtype = "bfloat16" if given.bfloat16 else "float32"
        settings = dataclasses.replace(ladder.settings(batch_size), compute_dtype=dtype)
        trainer = Trainer(settings, ladder.images(), Devices([device]))
        for name in given.networks:
            genotype = ladder.ladder()[name]
            programs, learning_rate = trainer.programs(genotype), genotype.learning_rate
            training = trainer.begin(0, genotype, programs, learning_rate)
            about = {"network": name, "batch_size": batch_size, "compute_dtype": dtype}
            calls, seconds = _seconds_a_step(training, programs, given.seconds)
            _say(
                **about,
                compile_seconds=round(programs.compile_seconds, 3),
                step_microseconds=round(1e6 * seconds, 1),
                images_a_second=round(batch_size / seconds),
                bits=_bits(trainer.begin(1, genotype, programs, learning_rate)),
            )
            for lanes in (lanes for lanes in given.lanes if lanes > 1):
                trainings = [trainer.begin(number, genotype, programs, learning_rate) for number in range(lanes)]
                rate = _steps_a_second(trainings, programs.steps_a_call * calls, given.seconds)
                _say(**about, lanes=lanes, steps_a_second=round(rate, 1), ratio=round(rate * seconds, 2))
            if given.profile:
                _profile(training, programs, about)


def _seconds_a_step(training: "Training", programs: "Programs", seconds: float) -> tuple[int, float]:
    """Returns the number of calls that fill a sample, and the median seconds of a step."""
    training.repeat(programs.steps_a_call)
    began = time.perf_counter()
    training.repeat(programs.steps_a_call)
    most = ladder.PLANNED_STEPS // programs.steps_a_call
    calls = max(1, min(most, int(seconds / _SAMPLES / (time.perf_counter() - began))))
    steps, samples = calls * programs.steps_a_call, []
    for _ in range(_SAMPLES):
        began = time.perf_counter()
        training.repeat(steps)
        samples.append((time.perf_counter() - began) / steps)
    return calls, statistics.median(samples)


def _steps_a_second(trainings: Sequence["Training"], steps: int, seconds: float) -> float:
    """Returns the steps a second of all lanes together."""
    made = [0] * len(trainings)
    end = time.perf_counter() + seconds

    def work(number: int) -> None:
        while time.perf_counter() < end:
            trainings[number].repeat(steps)
            made[number] += steps

    began = time.perf_counter()
    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(trainings))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(made) / (time.perf_counter() - began)


def _bits(training: "Training") -> str:
    training.advance(_HASHED_STEPS)
    digest = hashlib.sha256()
    for array in training.checkpoint():
        digest.update(array.tobytes())
    return digest.hexdigest()[:12]


def _profile(training: "Training", programs: "Programs", about: dict[str, Any]) -> None:
    """Prints the kernels of a step, for each stream of the GPU that trains."""
    import jax

    steps = _PROFILED_CALLS * programs.steps_a_call
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            training.repeat(steps)
        [file] = Path(folder).rglob("*.xplane.pb")
        planes = [plane for plane in jax.profiler.ProfileData.from_file(str(file)).planes if "GPU" in plane.name]
        for line in (line for plane in planes for line in plane.lines if line.name.startswith("Stream")):
            counts: collections.Counter[str] = collections.Counter()
            nanoseconds: collections.Counter[str] = collections.Counter()
            for event in line.events:
                counts[event.name] += 1
                nanoseconds[event.name] += event.duration_ns
            if counts.total() >= steps:
                kernels = [
                    {"kernel": name[:80], "a_step": counts[name] / steps, "microseconds": round(taken / 1e3 / steps, 2)}
                    for name, taken in nanoseconds.most_common(_MOST_KERNELS)
                ]
                busy = nanoseconds.total() / 1e3 / steps
                _say(**about, kernels_a_step=counts.total() / steps, busy_microseconds=round(busy, 1), most=kernels)


def _say(**fields: Any) -> None:
    print(json.dumps(fields), flush=True)


if __name__ == "__main__":
    exit_with(main)
