"""The recipe of the CNN by hand that Flax and PyTorch share: widths, schedule, batches, and the number of steps."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from jaxevo.data import Dataset, Split

WIDTHS = (16, 32, 32, 64, 64)
POOLED = (0, 2)
"""Convolutions that a max pool follows."""
NORM_DECAY = 0.9
_WARM_UP_STEPS = 3
_TIMED_STEPS = 20
_WARM_UP_SHARE = 0.25


@dataclass(frozen=True)
class Recipe:
    """The settings of a training.

    Attributes:
        batch_size: images a step.
        peak_rate: the highest learning rate.
        momentum: of Nesterov's SGD.
        weight_decay: of filters and the dense layer's weights.
        as_finish: True to have what the finish of the presets has and the plain recipe lacks: crops of a pixel and
            flips of grey images too, label smoothing, and the validation images to learn from.
    """

    batch_size: int = 50
    peak_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    as_finish: bool = False

    @property
    def label_smoothing(self) -> float:
        """The share of each target that all classes get alike."""
        return 0.1 if self.as_finish else 0.0

    def rate(self, step: int, steps: int) -> float:
        """Returns the learning rate of a step: linearly up to the peak, then down to zero (Smith and Topin 2018)."""
        up = max(1.0, _WARM_UP_SHARE * steps)
        return self.peak_rate * min((step + 1) / up, (steps - step) / max(1.0, steps - up))


class Learner(Protocol):
    """A network in training."""

    def reset(self) -> None:
        """Goes back to fresh weights, those of its seed; what was compiled stays."""

    def step(self, images: np.ndarray, labels: np.ndarray, rate: float) -> None:
        """Takes one step on uint8 [batch, height, width, channels] and int32 [batch], and waits for its end."""

    def accuracy(self, split: Split) -> float:
        """Returns the accuracy on a split, in [0, 1]."""


Maker = Callable[[Dataset, Recipe, int], Learner]
"""Makes a fresh learner from a data set, a recipe and a seed."""


class Batches:
    """The images to learn from in shuffled epochs; colour images are cropped and flipped as the data set has it.

    Attributes:
        size: of a batch, at most all images.
    """

    def __init__(self, dataset: Dataset, recipe: Recipe, seed: int) -> None:
        """Pads the images once."""
        colour = dataset.image_shape[2] == 3
        self._padding = dataset.crop_padding if colour else int(recipe.as_finish)
        self._flip = dataset.flip and (colour or recipe.as_finish)
        known = (dataset.train, dataset.validation) if recipe.as_finish else (dataset.train,)
        self._labels = np.concatenate([split.labels for split in known])
        self.size = min(recipe.batch_size, len(self._labels))
        around = (self._padding, self._padding)
        images = np.concatenate([split.images for split in known])
        self._images = np.pad(images, ((0, 0), around, around, (0, 0)))
        self._shape = dataset.image_shape
        self._generator = np.random.default_rng(seed)
        self._order = np.zeros(0, np.int64)

    def draw(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the next batch: uint8 [batch, height, width, channels] and int32 [batch]."""
        if len(self._order) < self.size:
            self._order = self._generator.permutation(len(self._labels))
        picked, self._order = self._order[: self.size], self._order[self.size :]
        if not self._padding and not self._flip:
            return self._images[picked], self._labels[picked]
        corners = self._generator.integers(0, 2 * self._padding + 1, (2, self.size, 1))
        rows, columns = np.arange(self._shape[0]) + corners[0], np.arange(self._shape[1]) + corners[1]
        flipped = self._generator.random((self.size, 1)) < 0.5 * self._flip
        columns = np.where(flipped, columns[:, ::-1], columns)
        images = self._images[picked[:, None, None], rows[:, :, None], columns[:, None, :]]
        return images, self._labels[picked]


class Trained(NamedTuple):
    """The result of a training.

    Attributes:
        validation: accuracy, in [0, 1].
        test: accuracy, in [0, 1].
        cpu_seconds: of all steps.
        compile_seconds: CPU seconds of the first step beyond those of another.
        steps: number of steps.
        flops: of all steps.
    """

    validation: float
    test: float
    cpu_seconds: float
    compile_seconds: float
    steps: int
    flops: float


def train(make: Maker, dataset: Dataset, recipe: Recipe, cpu_seconds: float, seed: int) -> Trained:
    """Trains for about `cpu_seconds` of this process, after steps that only measure them and are undone."""
    learner = make(dataset, recipe, seed)
    compiling, a_step = _measure(learner, Batches(dataset, recipe, seed), recipe)
    steps = max(1, int(cpu_seconds / a_step))
    learner.reset()
    batches = Batches(dataset, recipe, seed)
    began = time.process_time()
    for step in range(steps):
        learner.step(*batches.draw(), recipe.rate(step, steps))
    spent = time.process_time() - began
    flops = 3.0 * forward_flops(dataset.image_shape, dataset.num_classes) * batches.size * steps
    accuracies = learner.accuracy(dataset.validation), learner.accuracy(dataset.test)
    return Trained(*accuracies, spent, compiling, steps, flops)


def _measure(learner: Learner, batches: Batches, recipe: Recipe) -> tuple[float, float]:
    """Returns CPU seconds of compiling, and of a step."""

    def seconds(steps: int) -> float:
        began = time.process_time()
        for _ in range(steps):
            learner.step(*batches.draw(), 0.01 * recipe.peak_rate)
        return time.process_time() - began

    first = seconds(1)
    seconds(_WARM_UP_STEPS)
    a_step = max(seconds(_TIMED_STEPS) / _TIMED_STEPS, 1e-6)
    return max(0.0, first - a_step), a_step


def forward_flops(image_shape: tuple[int, int, int], num_classes: int) -> int:
    """Returns the FLOPs of the CNN's convolutions and dense layer for one image; the gradient costs twice as many."""
    height, width, channels = image_shape
    flops = 0
    for number, wider in enumerate(WIDTHS):
        flops += 2 * 9 * channels * wider * height * width
        channels = wider
        if number in POOLED:
            height, width = height // 2, width // 2
    return flops + 2 * channels * num_classes


def normalised(images: Any, dataset: Dataset) -> Any:
    """Returns uint8 images, of NumPy or JAX, as float32, with mean 0 and deviation 1 over the training images."""
    return (images.astype(np.float32) / np.float32(255) - dataset.mean) / dataset.std
