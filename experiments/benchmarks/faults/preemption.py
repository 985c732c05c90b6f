"""SIGTERM, as at preemption: the run must end cleanly within five seconds and can be resumed."""

import contextlib
import functools
import signal
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from random import Random

from experiments.benchmarks.faults.account import Account, Cost, expect
from experiments.benchmarks.faults.host import Host
from experiments.benchmarks.faults.scene import Scene, journal
from jaxevo.search.space import ImageShape
from jaxevo.spaces.large_scale.architecture import Architecture, architecture
from jaxevo.spaces.large_scale.genotype import Activation, Genotype, Layer
from jaxevo.spaces.large_scale.layer_types import Convolution

ANSWER_SECONDS = 5.0
# A late answer is tried again: other processes may have kept the cores busy.
_TRIES = 3
_LONGEST_DELAY_SECONDS = 1.0
_DEEP_LAYERS = 60
_INTERRUPTED = 130


def at_random_moments(scene: Scene, times: int) -> Cost:
    """Sends SIGTERM at random moments of a session, to the process alone or also to its group, as `timeout` does."""
    moments = scene.random("preemption")

    def moment(host: Host, path: Path) -> bool:
        sessions = len(journal(path).sessions)
        host.wait_until(lambda: len(journal(path).sessions) > sessions)
        time.sleep(moments.uniform(0, _LONGEST_DELAY_SECONDS))
        return not host.ended

    return _answered(scene, times, moment, moments)


def while_compiling(scene: Scene, times: int) -> Cost:
    """Sends SIGTERM while threads compile deep networks, which cannot be interrupted."""
    moments = scene.random("compiling")
    marker = scene.folder / "compiling"

    def moment(host: Host, path: Path) -> bool:
        host.wait_until(marker.exists)
        time.sleep(moments.uniform(0, _LONGEST_DELAY_SECONDS))
        marker.unlink()
        return not host.ended

    return _answered(scene, times, moment, moments, functools.partial(compile_deep_nets, marker))


def compile_deep_nets(marker: Path) -> None:
    """Makes this process compile a deep network before every other one, and touch `marker` when it begins."""
    import jax

    from jaxevo.networks.programs import ProgramMaker

    jax.config.update("jax_enable_compilation_cache", False)
    compile_one = ProgramMaker.make

    def compile_deep(maker: ProgramMaker, wanted: Architecture) -> object:
        marker.touch()
        compile_one(maker, _deep(wanted.image_shape))
        return compile_one(maker, wanted)

    setattr(ProgramMaker, "make", compile_deep)  # noqa: B010 - no other way that a type checker accepts


def _deep(shape: ImageShape) -> Architecture:
    numbers = range(1, _DEEP_LAYERS + 1)
    convolution = Convolution(Fraction(1), half_height=1, half_width=1, log2_stride=0)
    layers = tuple(Layer(number, convolution, Activation.BATCH_NORM_RELU) for number in numbers)
    return architecture(Genotype(0.1, layers), shape)


def _answered(
    scene: Scene,
    times: int,
    moment: Callable[[Host, Path], bool],
    moments: Random,
    disturb: Callable[[], None] | None = None,
) -> Cost:
    """Sends SIGTERM to `times` sessions of a run, each at its `moment`, then lets the run end; returns the cost."""
    path = scene.new_path()
    account = Account(path)
    slowest = 0.0
    for _ in range(times):
        for _ in range(_TRIES):
            # Without a manifest there is no run to resume.
            begun = (path / "manifest.json").exists()
            with scene.resume(path, disturb=disturb) if begun else scene.start(path, disturb=disturb) as host:
                if not moment(host, path):
                    expect(host.wait() == 0, f"a session ends with: {host.output}")
                    return account.close(scene.is_equal(path), _note(slowest))
                seconds = _seconds_to_answer(host, path, group=moments.random() < 0.5)
            account.fault()
            if seconds <= ANSWER_SECONDS:
                break
        expect(seconds <= ANSWER_SECONDS, f"SIGTERM is answered after {seconds:.1f} seconds, {_TRIES} times")
        slowest = max(slowest, seconds)
    return account.close(scene.ends_equal(path), _note(slowest))


def _seconds_to_answer(host: Host, path: Path, group: bool) -> float:
    began = time.monotonic()
    with contextlib.suppress(ProcessLookupError):
        host.send(signal.SIGTERM, group)
    status = host.wait()
    seconds = time.monotonic() - began
    stopped = journal(path).stopped
    clean = status in (0, _INTERRUPTED, -signal.SIGTERM) and stopped is not None and stopped.session > 0
    expect(clean, f"SIGTERM ends a session with status {status} and {stopped}: {host.output}")
    return seconds


def _note(slowest: float) -> str:
    return f"slowest answer {slowest:.1f} s"
