"""The identity layer type: only its activation and the skips that enter it compute anything."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from jaxevo.search.space import ImageShape
from jaxevo.spaces.large_scale.layer_types.operation import How, Operation, Placed

if TYPE_CHECKING:
    import jax


@dataclass(frozen=True)
class Identity(Operation):
    """Passes its input on."""

    name: ClassVar[str] = "identity"
    computes: ClassVar[bool] = False

    @classmethod
    def draw(cls, generator: np.random.Generator) -> Self:
        """Returns the identity."""
        return cls()

    def at(self, input_shape: ImageShape) -> "PlacedIdentity":
        """Returns the identity on inputs of a shape."""
        return PlacedIdentity(input_shape, input_shape)


@dataclass(frozen=True)
class PlacedIdentity(Placed):
    """Passes its input on."""

    def apply(self, point: "jax.Array", position: int, how: How) -> "jax.Array":
        """Returns the point unchanged."""
        return point

    def source(self, position: int) -> list[str]:
        """Returns no lines."""
        return []

    @property
    def detail(self) -> str:
        """The name of the layer type."""
        return "identity"
