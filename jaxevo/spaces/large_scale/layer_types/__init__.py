"""Layer types, each defined in one file."""

from jaxevo.spaces.large_scale.layer_types.convolution import Convolution
from jaxevo.spaces.large_scale.layer_types.identity import Identity
from jaxevo.spaces.large_scale.layer_types.operation import Operation

__all__ = ["PAPER", "Convolution", "Identity", "Operation"]

PAPER: tuple[type[Operation], ...] = (
    Convolution,
    Identity,
)
"""The layer types of Real et al. 2017."""
