"""The twelve genotypes: the bench's ladder, and what an evolution also makes."""

from fractions import Fraction

from jaxevo.bench import ladder
from jaxevo.spaces.large_scale.genotype import IMAGE, Activation, Genotype, Layer
from jaxevo.spaces.large_scale.layer_types import Convolution

_LEARNING_RATE = 0.1


def genotypes() -> dict[str, Genotype]:
    """Returns the genotypes by name, roughly from the quickest to compile to the slowest."""
    of_ladder = ladder.ladder()
    own = {
        "three channels": _genotype(_convolution(1), _convolution(2), _convolution(3)),
        "odd channels": _genotype(
            _convolution(1, Fraction(7, 3)),
            _convolution(2, Fraction(13, 7)),
            _convolution(3, Fraction(45, 13), log2_stride=1),
            skips=((IMAGE, 2), (1, 3)),
        ),
        "one pixel, stride 4": _genotype(
            _convolution(1, Fraction(16, 3), half=(0, 0)),
            _convolution(2, half=(3, 1), log2_stride=2),
            _convolution(3, 2, half=(0, 0), activation=Activation.LINEAR),
            skips=((1, 3),),
        ),
        "stride beyond the size": _genotype(
            _convolution(1, Fraction(8, 3), log2_stride=3),
            _convolution(2, log2_stride=2),
            _convolution(3, 2, half=(4, 4), log2_stride=1),
            skips=((IMAGE, 2), (IMAGE, 3)),
        ),
        "three with skips": _genotype(
            _convolution(1, Fraction(16, 3)),
            _convolution(2),
            _convolution(3, 2, log2_stride=1),
            skips=((IMAGE, 2), (1, 3)),
        ),
    }
    small = ("linear", "conv 1")
    large = tuple(name for name in of_ladder if name not in small)
    return {**{name: of_ladder[name] for name in small}, **own, **{name: of_ladder[name] for name in large}}


def _genotype(*layers: Layer, skips: tuple[tuple[int, int], ...] = ()) -> Genotype:
    return Genotype(_LEARNING_RATE, layers, skips)


def _convolution(
    layer_id: int,
    factor: Fraction | int = 1,
    half: tuple[int, int] = (1, 1),
    log2_stride: int = 0,
    activation: Activation = Activation.BATCH_NORM_RELU,
) -> Layer:
    return Layer(layer_id, Convolution(Fraction(factor), *half, log2_stride), activation)
