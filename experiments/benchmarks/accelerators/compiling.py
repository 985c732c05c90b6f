"""Compile the programs of genotypes for described devices, and measure what comes out."""

import dataclasses
import importlib.metadata
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.benchmarks.accelerators.genotypes import genotypes
from experiments.benchmarks.accelerators.hlo import bytes_gathered, loop_of
from experiments.benchmarks.accelerators.targets import TARGETS, described_devices, set_environment
from jaxevo.bench import ladder
from jaxevo.settings import ComputeDtype

if TYPE_CHECKING:
    from jaxevo.data import Dataset

# As many as CIFAR-10 has, so that a program which lays all of them out anew is seen.
_TRAIN_IMAGES, _TEST_IMAGES = 50_000, 10_000
_GPU_WORKSPACE = 4 * 2**20
"""Bytes that every program of a GPU has for cuBLAS, however small its network."""


@dataclass(frozen=True)
class Case:
    """The programs to compile together, in one process.

    Attributes:
        target: name of the target.
        compute_dtype: of the networks.
        devices: that share a batch.
        batch_size: of all devices.
    """

    target: str
    compute_dtype: ComputeDtype = "float32"
    devices: int = 1
    batch_size: int = 50


@dataclass(frozen=True)
class Figures:
    """What the compiler made of one genotype. Sizes are bytes.

    Attributes:
        case: what it was compiled for.
        genotype: name of the genotype.
        jax: version of JAX.
        compiler: version of the target's compiler.
        cpu_seconds: processor seconds to trace and compile training and evaluation.
        code: of both programs in the device's memory; 0 for a GPU, whose compiler does not tell.
        temporary: of a chunk of training steps, beside its arguments.
        carry: of the arrays that a step updates.
        evaluation: temporary of the evaluation, and its arguments.
        estimate: of the memory, which `max_memory` bounds; it knows neither target nor number of devices.
        flops: of a step without drawing its batch, by the TPU's compiler; 0 for a GPU.
        counted_flops: of a step, by jaxevo, on one device.
        operations: of a step.
        cycles: of a step, by the TPU's compiler without gathers; 0 for a GPU.
        gathered: bytes that each gather of bytes picks by one index.
    """

    case: Case
    genotype: str
    jax: str
    compiler: str
    cpu_seconds: float
    code: int
    temporary: int
    carry: int
    evaluation: int
    estimate: int
    flops: float
    counted_flops: float
    operations: int
    cycles: int
    gathered: tuple[int, ...]

    @property
    def memory_ratio(self) -> float:
        """The estimate of memory over the compiler's, of training or evaluation, whichever takes more."""
        workspace = _GPU_WORKSPACE if TARGETS[self.case.target].platform == "cuda" else 0
        return self.estimate / (max(self.temporary + self.carry, self.evaluation) - workspace)

    @property
    def flops_ratio(self) -> float:
        """The compiler's count of FLOPs over jaxevo's."""
        return self.flops / self.counted_flops


def compile_all(case: Case, names: Sequence[str], flags: Sequence[str] = ()) -> list[Figures]:
    """Compiles genotypes for a case, in a process in which JAX has not been imported; returns a row for each."""
    return list(compile_each(case, names, flags))


def compile_each(case: Case, names: Sequence[str], flags: Sequence[str] = ()) -> Iterator[Figures]:
    """Compiles genotypes for a case, in a process in which JAX has not been imported; yields a row for each.

    Args:
        case: what to compile for.
        names: of the genotypes.
        flags: further flags for the target's XLA.

    Raises:
        RuntimeError: if the target's compiler is not installed.
    """
    target = TARGETS[case.target]
    set_environment(target, flags)
    import jax

    from jaxevo.networks.compilation import Compiler
    from jaxevo.networks.devices import Devices
    from jaxevo.spaces.large_scale.architecture import architecture

    settings = dataclasses.replace(ladder.settings(case.batch_size), compute_dtype=case.compute_dtype)
    devices = Devices(described_devices(target, case.devices))
    compiler = Compiler(settings, _images(), devices)
    package = "libtpu" if target.platform == "tpu" else "jax-cuda13-plugin"
    versions = jax.__version__, f"{package} {importlib.metadata.version(package)}"
    for name in names:
        compiled = architecture(genotypes()[name], ladder.IMAGE_SHAPE)
        began = time.process_time()
        programs = compiler.programs(compiled)
        seconds = time.process_time() - began
        yield _figures(case, name, versions, seconds, programs, settings.evaluation_batch_size)


def _figures(
    case: Case, name: str, versions: tuple[str, str], seconds: float, programs: Any, evaluated: int
) -> Figures:
    from jaxevo.spaces.large_scale.architecture import architecture
    from jaxevo.spaces.large_scale.cost import cost

    needed = cost(architecture(genotypes()[name], ladder.IMAGE_SHAPE), ladder.NUM_CLASSES, case.batch_size, evaluated)
    training, evaluation = programs.compiled
    text = training.as_text()
    loop, analysis = loop_of(text), training.memory_analysis()
    of_evaluation = evaluation.memory_analysis()
    return Figures(
        case=case,
        genotype=name,
        jax=versions[0],
        compiler=versions[1],
        cpu_seconds=round(seconds, 2),
        code=programs.code_bytes,
        temporary=analysis.temp_size_in_bytes,
        carry=analysis.alias_size_in_bytes,
        evaluation=of_evaluation.temp_size_in_bytes + of_evaluation.argument_size_in_bytes,
        estimate=needed.memory,
        flops=_flops(training, case),
        counted_flops=float(case.batch_size * needed.training_flops),
        operations=loop.operations,
        cycles=loop.cycles,
        gathered=tuple(bytes_gathered(text)),
    )


def _flops(training: Any, case: Case) -> float:
    """Returns the compiler's FLOPs of a step less those of drawing its batch on a TPU; 0 if it tells none."""
    found = training.cost_analysis()
    if found is None:
        return 0.0
    height, width, channels = ladder.IMAGE_SHAPE
    pixels = height * width * channels * case.batch_size
    # Two matrix products, and three operations to normalise.
    drawing = pixels * (2 * (height + width) + 3)
    return float(found["flops"]) * case.devices - drawing


def _images() -> "Dataset":
    """Returns noise of CIFAR's shape and size."""
    from jaxevo.data.dataset import make_dataset

    generator = np.random.Generator(np.random.Philox(ladder.SEED))

    def split(count: int) -> tuple[np.ndarray, np.ndarray]:
        pixels = generator.integers(256, size=(count, *ladder.IMAGE_SHAPE), dtype=np.uint8)
        return pixels, np.arange(count) % ladder.NUM_CLASSES

    return make_dataset("noise", split(_TRAIN_IMAGES), split(_TEST_IMAGES))
