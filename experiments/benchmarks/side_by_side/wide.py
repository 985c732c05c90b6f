"""The bucket `wide`: a training step of networks worth having, beside PyTorch's.

Five 3 x 3 convolutions of w, 2w (stride 2), 2w, 4w (stride 2) and 4w channels, each with batch-norm + ReLU, then the
mean over all positions and the classifier; batches of 50 images. First a single trainer on one core, the sides in turn,
then two at once: two lanes of jaxevo, two processes of PyTorch. Every turn of a side is a fresh process.

PyTorch is as quick as a person makes it: eager, channels-last, one thread, a fused optimiser, symmetric padding, and a
batch that is there already, while jaxevo's step also draws and augments its batch.
"""

import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from experiments.benchmarks.markdown import table
from experiments.benchmarks.side_by_side.work import BATCH_SIZE
from jaxevo.search.space import ImageShape
from jaxevo.spaces.large_scale.architecture import architecture
from jaxevo.spaces.large_scale.cost import cost
from jaxevo.spaces.large_scale.genotype import Activation, Genotype, Layer
from jaxevo.spaces.large_scale.layer_types import Convolution

WIDTHS = (8, 16, 32)
SHAPES: tuple[ImageShape, ...] = ((28, 28, 1), (32, 32, 3))
JAXEVO, TORCH = "jaxevo", "torch"
LEAST_RATIO = 0.9
"""The least that jaxevo's images a second over PyTorch's should be in every cell."""
CLASSES = 10
RATE = 0.05
LAYERS = ((1, 0), (2, 1), (2, 0), (4, 1), (4, 0))
"""Channels over the first layer's, and log2 of the stride."""


@dataclass(frozen=True)
class WideWork:
    """A network to train, and for how long.

    Attributes:
        width: channels of its first convolution.
        image_shape: height, width, channels.
        trainers: that train at once.
        seconds: of one measurement.
        measurements: of which the median counts.
    """

    width: int
    image_shape: ImageShape
    trainers: int = 1
    seconds: float = 1.0
    measurements: int = 5

    @property
    def flops_per_image(self) -> int:
        """FLOPs of a step, forward and backward, for one image."""
        found = cost(architecture(genotype(self.width, self.image_shape), self.image_shape), CLASSES, BATCH_SIZE)
        return found.training_flops


@dataclass(frozen=True)
class WideCell:
    """A network and a number of trainers, measured on every side.

    Attributes:
        work: the network.
        rounds: by side, images a second of all trainers together in each round.
    """

    work: WideWork
    rounds: dict[str, list[float]]

    def speed(self, side: str) -> float:
        """Returns the median of a side's images a second."""
        return statistics.median(self.rounds[side])

    @property
    def ratio(self) -> float | None:
        """The median over the rounds of jaxevo's images a second over PyTorch's, None if a side is missing."""
        if not {JAXEVO, TORCH} <= self.rounds.keys():
            return None
        return statistics.median(
            ours / theirs for ours, theirs in zip(self.rounds[JAXEVO], self.rounds[TORCH], strict=True)
        )


def genotype(width: int, image_shape: ImageShape) -> Genotype:
    """Returns the network's genotype."""
    channels = [image_shape[2], *(width * times for times, _ in LAYERS)]
    factors = (Fraction(after, before) for before, after in itertools.pairwise(channels))
    layers = (
        Layer(number, Convolution(factor, 1, 1, log2_stride), Activation.BATCH_NORM_RELU)
        for number, (factor, (_, log2_stride)) in enumerate(zip(factors, LAYERS, strict=True), start=1)
    )
    return Genotype(RATE, tuple(layers))


def works(trainers: Sequence[int], seconds: float) -> Iterator[WideWork]:
    """Yields every network, first with one trainer, then with more."""
    for count in trainers:
        for shape in SHAPES:
            for width in WIDTHS:
                yield WideWork(width, shape, count, seconds)


def measure(
    wanted: Sequence[WideWork],
    sides: Sequence[str],
    rounds: int,
    run: Callable[[str, WideWork], float],
    progress: Callable[[str], None],
) -> list[WideCell]:
    """Measures every network on every side, sides in turn within a round; `run` gives a side's images a second."""
    cells = [WideCell(work, {side: [] for side in sides}) for work in wanted]
    for number in range(rounds):
        for cell in cells:
            for side in sides:
                cell.rounds[side].append(run(side, cell.work))
                progress(f"round {number + 1}: {_name(cell.work)}, {side} {cell.rounds[side][-1]:,.0f} images a second")
    return cells


def wide_table(cells: Sequence[WideCell], sides: Sequence[str]) -> str:
    """Returns a table of images a second, GFLOP/s and jaxevo's ratio."""
    header = ("images", "width", "trainers", *(f"{side}, images/s (GFLOP/s)" for side in sides), "over torch")
    rows = []
    for cell in cells:
        work, ratio = cell.work, cell.ratio
        speeds = (f"{cell.speed(side):,.0f} ({_gflops(cell, side):.0f})" for side in sides)
        missed = "" if ratio is None or ratio >= LEAST_RATIO else f"; missed: {LEAST_RATIO:g}"
        over = "" if ratio is None else f"{ratio:.2f}{missed}"
        rows.append(("x".join(map(str, work.image_shape)), str(work.width), str(work.trainers), *speeds, over))
    return table(header, rows)


def images_a_second(work: WideWork, side: str) -> float:
    """Returns a side's images a second in this process, or for several PyTorch trainers in processes of its own."""
    if side == JAXEVO:
        return _jaxevo(work)
    from experiments.benchmarks.side_by_side import wide_torch

    return wide_torch.images_a_second(work)


def _jaxevo(work: WideWork) -> float:
    from experiments.entry import prepare
    from jaxevo.settings import Execution, Settings

    prepare(Execution(lanes=work.trainers))
    import jax
    import numpy as np

    from jaxevo.data.dataset import make_dataset
    from jaxevo.networks.devices import Devices
    from jaxevo.networks.trainer import Trainer

    pixels = np.random.default_rng(0).integers(0, 256, (1_000, *work.image_shape), np.uint8)
    labels = np.arange(len(pixels)) % CLASSES
    dataset = make_dataset("wide", (pixels, labels), (pixels, labels), crop_padding=1, flip=True)
    trainer = Trainer(Settings(batch_size=BATCH_SIZE, train_steps=1_000), dataset, Devices(jax.local_devices()[:1]))
    network = genotype(work.width, work.image_shape)
    programs = trainer.programs(network)
    trainings = [trainer.begin(number, network, programs, RATE) for number in range(work.trainers)]
    if work.trainers == 1:
        return measured(work, trainings[0].repeat)
    with ThreadPoolExecutor(work.trainers) as lanes:
        return measured(work, lambda steps: list(lanes.map(lambda training: training.repeat(steps), trainings)))


def measured(work: WideWork, train: Callable[[int], Any]) -> float:
    """Returns the images a second of `train`, which trains a number of steps with every trainer.

    One trainer alone is measured by processor time, so that other programs on the machine do not count.
    """
    clock = time.process_time if work.trainers == 1 else time.perf_counter

    def seconds(steps: int) -> float:
        began = clock()
        train(steps)
        return clock() - began

    train(1)  # May compile.
    steps = max(1, round(work.seconds / (seconds(4) / 4)))
    return work.trainers * BATCH_SIZE * steps / statistics.median(seconds(steps) for _ in range(work.measurements))


def _gflops(cell: WideCell, side: str) -> float:
    return cell.speed(side) * cell.work.flops_per_image / 1e9


def _name(work: WideWork) -> str:
    return f"{'x'.join(map(str, work.image_shape))}, w = {work.width}, {work.trainers} at once"
