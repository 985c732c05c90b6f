"""The ladder: fixed genotypes, from one without a convolution to those of ResNet's size, and their images.

All classify images of CIFAR's shape into ten classes. The residual ones are those of He et al. 2016, section 4.2, with
16, 32, 64 channels (20 weighted layers: 19 convolutions and the classifier) or four times as many. Their shortcuts pad
with zeros (option A), as skips do here.
"""

from fractions import Fraction

import numpy as np

from jaxevo.data import Dataset
from jaxevo.data.dataset import make_dataset
from jaxevo.search.space import ImageShape
from jaxevo.settings import Settings
from jaxevo.spaces.large_scale.genotype import IMAGE, Activation, Genotype, Layer
from jaxevo.spaces.large_scale.layer_types import Convolution

SEED = 0
"""The seed of the images, the initial weights and the plans."""
IMAGE_SHAPE: ImageShape = (32, 32, 3)
NUM_CLASSES = 10
PLANNED_STEPS = 4096
"""Steps of the plan that the programs are compiled for, and so the most steps of a sample."""

_TRAIN_IMAGES, _TEST_IMAGES = 2_000, 500
_BLOCKS_A_STAGE = 3
# Training on noise must not diverge.
_LEARNING_RATE = 0.01


def ladder() -> dict[str, Genotype]:
    """Returns the genotypes by name, each with more FLOPs than the one before."""
    return {
        "linear": plain([]),
        "conv 1": plain([(8, 1)]),
        "conv 3": plain([(16, 0), (16, 1), (32, 1)]),
        "conv 6": plain([(16, 0), (16, 0), (32, 1), (32, 0), (64, 1), (64, 0)], skips=((1, 3), (3, 5))),
        "conv 10": plain(
            [(16, 0), (16, 0), (16, 0), (16, 0), (32, 1), (32, 0), (32, 0), (64, 1), (64, 0), (64, 0)],
            skips=((IMAGE, 2), (2, 4), (4, 7), (7, 10)),
        ),
        "ResNet-20": _residual((16, 32, 64)),
        "ResNet-20 wide": _residual((64, 128, 256)),
    }


def settings(batch_size: int = 50) -> Settings:
    """Returns the settings of the ladder: the defaults with CIFAR's crops and flips."""
    return Settings(seed=SEED, train_steps=PLANNED_STEPS, batch_size=batch_size, crop_padding=4, flip=True)


def images() -> Dataset:
    """Returns a fixed data set of noise with random labels, of which nothing can be learnt."""
    generator = np.random.Generator(np.random.Philox(SEED))

    def split(count: int) -> tuple[np.ndarray, np.ndarray]:
        pixels = generator.integers(256, size=(count, *IMAGE_SHAPE), dtype=np.uint8)
        return pixels, generator.permutation(np.arange(count) % NUM_CLASSES)

    return make_dataset("noise", split(_TRAIN_IMAGES), split(_TEST_IMAGES))


def plain(layers: list[tuple[int, int]], skips: tuple[tuple[int, int], ...] = ()) -> Genotype:
    """Returns a genotype of 3 x 3 convolutions with batch normalisation and ReLU.

    Args:
        layers: channels and log2 stride of each layer.
        skips: pairs of points, by position.
    """
    channels, made = IMAGE_SHAPE[2], []
    for layer_id, (width, log2_stride) in enumerate(layers, start=1):
        convolution = Convolution(Fraction(width, channels), 1, 1, log2_stride)
        made.append(Layer(layer_id, convolution, Activation.BATCH_NORM_RELU))
        channels = width
    return Genotype(_LEARNING_RATE, tuple(made), skips)


def _residual(widths: tuple[int, ...]) -> Genotype:
    """Returns a first convolution, then stages of blocks of two convolutions with a shortcut each."""
    layers = [(widths[0], 0)]
    for stage, width in enumerate(widths):
        for block in range(_BLOCKS_A_STAGE):
            layers += [(width, int(stage > 0 and block == 0)), (width, 0)]
    return plain(layers, tuple((point, point + 2) for point in range(1, len(layers) - 1, 2)))
