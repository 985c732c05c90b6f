"""A clock that jumps by up to a year, forward and back."""

import functools
import json
import random
import time

import jaxevo
from experiments.benchmarks.faults.account import Account, Cost, expect
from experiments.benchmarks.faults.host import SIGKILLED
from experiments.benchmarks.faults.scene import EVENTS, Scene

_YEAR_SECONDS = 3.15e7


def jumps(scene: Scene, times: int) -> Cost:
    """Kills a run whose clock jumps at every reading; the times that it reports must be 0 or more."""
    cost = Cost(note="the clock jumps at every reading")
    for number in range(times):
        path = scene.new_path()
        account = Account(path)
        with scene.start(path, EVENTS, "after snapshot:3", functools.partial(jump, 2 * number)) as host:
            expect(host.wait() == SIGKILLED, f"a run whose clock jumps ends with: {host.output}")
        account.fault()
        with scene.resume(path, EVENTS, disturb=functools.partial(jump, 2 * number + 1)) as host:
            expect(host.wait() == 0, f"a run whose clock jumps ends with: {host.output}")
        result = json.loads((path / "result.json").read_text())
        for name in ("wall_seconds", "compile_seconds", "train_seconds", "individuals_per_hour"):
            expect(result[name] >= 0, f"{name} of a run whose clock jumps is {result[name]}")
        expect(min(jaxevo.open(path).history["train_seconds"]) >= 0, "a training takes less than 0 seconds")
        cost += account.close(scene.is_equal(path))
    return cost


def jump(seed: int) -> None:
    """Makes this process's clock jump at every reading."""
    now, moments = time.time, random.Random(seed)
    time.time = lambda: now() + moments.uniform(-_YEAR_SECONDS, _YEAR_SECONDS)
