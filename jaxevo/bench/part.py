"""Measure one part in a process of its own: `python -m jaxevo.bench.part`, started by `jaxevo.bench.suite`.

The request is one line of JSON on standard input, which stays open while someone waits for the answer. The answer is
lines of JSON on standard output: {"said": text} for every step, and finally {"error": sentence} or {"result": ...} with
the process's {"memory": ...}. The module imports nothing that loads JAX, because the process must set JAX up first.
"""

import dataclasses
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from jaxevo.bench.extent import Extent
from jaxevo.environment import prepare_process
from jaxevo.environment.cores import usable_cores
from jaxevo.environment.folders import cache_dir
from jaxevo.settings import Execution

_MOST_VIRTUAL_DEVICES = 8

Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Request:
    """A request to measure a part.

    Attributes:
        part: name of the part in `PARTS`.
        extent: extent of the benchmark.
        lanes: number of lanes; None for the default of a run.
        peak_flops: peak float32 FLOPs per second of a lane, by which the time of a step is predicted.
    """

    part: str
    extent: Extent
    lanes: int | None = None
    peak_flops: float | None = None


def answer(request: Request, say: Say) -> Any:
    """Measures a part and returns JSON values; the process must have set JAX up."""
    from jaxevo.networks.compilation import use_persistent_cache

    cache = cache_dir() / "executables"
    use_persistent_cache(cache)
    return _plain(PARTS[request.part](request, cache, say))


def _device(request: Request, cache: Path, say: Say) -> Any:
    from jaxevo.bench.device import describe, measure_device

    return {"machine": describe(), "speed": measure_device(request.extent, say)}


def _ladder(request: Request, cache: Path, say: Say) -> Any:
    from jaxevo.bench.rungs import measure_ladder

    return measure_ladder(request.extent, _known_peak(request), cache, say)


def _known_peak(request: Request) -> float:
    if request.peak_flops is None:
        raise ValueError(f"peak_flops is None, but {request.part} needs it: measure the device first")
    return request.peak_flops


def _batches(request: Request, cache: Path, say: Say) -> Any:
    from jaxevo.bench.batches import measure_batches

    return measure_batches(request.extent, _known_peak(request), say)


def _compiling(request: Request, cache: Path, say: Say) -> Any:
    from jaxevo.bench.compiling import measure_compiling

    return measure_compiling(request.extent, say)


def _evolution(request: Request, cache: Path, say: Say) -> Any:
    from jaxevo.bench.evolution import SETTINGS, evolve

    say(f"{request.extent.individuals} individuals")
    return {"settings": SETTINGS, "evolved": evolve(request.extent.individuals, request.lanes)}


def _lanes(request: Request, cache: Path, say: Say) -> Any:
    from jaxevo.bench.scaling import measure_lanes

    return measure_lanes(request.extent, request.lanes, say)


def _devices(request: Request, cache: Path, say: Say) -> Any:
    import jax

    from jaxevo.bench.scaling import measure_devices

    devices = jax.local_devices()
    if len(devices) == 1:
        return {"not_measured": f"this machine has one device, of the kind {devices[0].device_kind}"}
    return {"virtual": devices[0].platform == "cpu", "speeds": measure_devices(request.extent, say)}


PARTS: dict[str, Callable[[Request, Path, Say], Any]] = {
    "device": _device,
    "ladder": _ladder,
    "batches": _batches,
    "compiling": _compiling,
    "evolution": _evolution,
    "lanes": _lanes,
    "devices": _devices,
}


def execution_of(request: Request) -> Execution:
    """Returns the execution to set JAX up for; on CPU, the part `devices` uses one virtual device per core."""
    if request.part == "devices":
        return Execution(lanes=1, devices_per_lane=min(usable_cores(), _MOST_VIRTUAL_DEVICES))
    return Execution(lanes=request.lanes)


def main() -> int:
    """Answers the request; returns 1 if the part could not be measured."""
    fields = json.loads(sys.stdin.readline())
    request = Request(**{**fields, "extent": Extent(**fields["extent"])})
    threading.Thread(target=_end_with_parent, daemon=True).start()
    channel = _take_standard_output()

    def send(**fields: Any) -> None:
        print(json.dumps(fields), file=channel, flush=True)

    try:
        prepare_process(execution_of(request))
        result = answer(request, lambda text: send(said=text))
        send(result=result, memory=_memory())
    except Exception as error:  # Catch everything: the other parts can still be measured.
        send(error=f"{type(error).__name__}: {error}".splitlines()[0])
        return 1
    return 0


def _memory() -> Any:
    from jaxevo.bench.memory import high_water_mark

    return _plain(high_water_mark())


def _take_standard_output() -> TextIO:
    """Returns standard output for this module alone; the output of libraries goes to standard error."""
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return channel


def _end_with_parent() -> None:
    """Ends this process at the end of standard input, when no one waits for the answer any longer."""
    sys.stdin.read()
    os._exit(1)


def _plain(value: Any) -> Any:
    """Returns a tree of JSON values, with dataclasses as dictionaries."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value


if __name__ == "__main__":
    sys.exit(main())
