"""Sets of mutations: values made by factories with weights and parameters, named in the settings."""

import math
from collections.abc import Mapping, Sequence

from jaxevo.search.space import Mutation
from jaxevo.spaces.large_scale.genotype import Genotype
from jaxevo.spaces.large_scale.growth import altering_channels, inserting_convolutions, keeping_widths
from jaxevo.spaces.large_scale.layer_types import PAPER, Operation
from jaxevo.spaces.large_scale.mutation import MUTATIONS, insertion

MutationSet = tuple[Mutation[Genotype], ...]

_GROWTH_PARAMETERS = {"min_channels": 8.0, "max_channels": 32.0, "stride_probability": 0.4, "channel_factor": 4.0}
_GROWTH_WEIGHTS = {
    "IDENTITY": 0.5,
    "RESET-WEIGHTS": 0.0,
    "INSERT-CONVOLUTION": 4.0,
    "REMOVE-CONVOLUTION": 0.3,
    "ALTER-STRIDE": 0.3,
    "ALTER-NUMBER-OF-CHANNELS": 2.0,
    "FILTER-SIZE": 0.5,
    "INSERT-ONE-TO-ONE": 0.1,
    "REMOVE-SKIP": 0.3,
}


def mutation_set(
    name: str,
    initial_learning_rate: float,
    layer_types: Sequence[type[Operation]] = PAPER,
    **options: float,
) -> MutationSet:
    """Returns a set of mutations by its name and options.

    Args:
        name: paper or growth.
        initial_learning_rate: of the initial individuals.
        layer_types: layer types of the space; those that are not in the paper get an insertion each.
        **options: weights by the names of mutations, and parameters of the set.

    Raises:
        ValueError: for an unknown option, or a value that is not a number of its range.
    """
    for key, value in options.items():
        if isinstance(value, bool | str) or not 0 <= value < math.inf:
            raise ValueError(f"{key} is {value!r}, but must be a finite number, 0 or more")
    parameters = {key: float(value) for key, value in options.items() if key == key.lower()}
    weights = {key: float(value) for key, value in options.items() if key not in parameters}
    known = paper(layer_types)
    _expect(weights, [mutation.name for mutation in known])  # Both sets have the paper's names.
    _expect(parameters, list(_GROWTH_PARAMETERS) if name == "growth" else [])
    if name == "growth":
        known = growth(initial_learning_rate, layer_types, **parameters)
    weighted = tuple(mutation._replace(weight=weights.get(mutation.name, mutation.weight)) for mutation in known)
    # These three apply to every genotype, so a birth always finds a mutation.
    always = ("ALTER-LEARNING-RATE", "IDENTITY", "RESET-WEIGHTS")
    if not any(mutation.weight for mutation in weighted if mutation.name in always):
        raise ValueError(f"one of {', '.join(always)} must have a weight above 0")
    return weighted


def paper(layer_types: Sequence[type[Operation]] = PAPER) -> MutationSet:
    """Returns the eleven mutations of Real et al. 2017, all of weight 1, and insertions of other layer types."""
    others = [layer_type for layer_type in layer_types if layer_type not in PAPER]
    names = [f"INSERT-{layer_type.name.upper().replace('_', '-')}" for layer_type in others]
    return (*MUTATIONS, *map(insertion, names, others))


def growth(
    initial_learning_rate: float,
    layer_types: Sequence[type[Operation]] = PAPER,
    min_channels: float = _GROWTH_PARAMETERS["min_channels"],
    max_channels: float = _GROWTH_PARAMETERS["max_channels"],
    stride_probability: float = _GROWTH_PARAMETERS["stride_probability"],
    channel_factor: float = _GROWTH_PARAMETERS["channel_factor"],
) -> MutationSet:
    """Returns mutations of the paper's names whose forms and odds favour growth.

    Args:
        initial_learning_rate: of the initial individuals.
        layer_types: layer types of the space.
        min_channels: least width of a convolution inserted behind few channels.
        max_channels: greatest width of such a convolution.
        stride_probability: of an inserted convolution to have stride 2 and twice the channels.
        channel_factor: most that ALTER-NUMBER-OF-CHANNELS multiplies by.

    Raises:
        ValueError: for a parameter out of its range.
    """
    if not 1 <= min_channels <= max_channels < math.inf:
        raise ValueError(
            f"min_channels is {min_channels:g} and max_channels {max_channels:g}, but they must be 1 or more and rise"
        )
    if not 0 <= stride_probability <= 1:
        raise ValueError(f"stride_probability is {stride_probability:g}, but must be 0 to 1")
    if not 1 <= channel_factor < math.inf:
        raise ValueError(f"channel_factor is {channel_factor:g}, but must be a finite number, 1 or more")
    forms = {
        "INSERT-CONVOLUTION": inserting_convolutions(
            initial_learning_rate, round(min_channels), round(max_channels), stride_probability
        ),
        "ALTER-NUMBER-OF-CHANNELS": altering_channels(channel_factor),
    }
    return tuple(
        mutation._replace(
            apply=forms.get(mutation.name) or keeping_widths(mutation.apply),
            weight=_GROWTH_WEIGHTS.get(mutation.name, 1.0),
        )
        for mutation in paper(layer_types)
    )


def _expect(given: Mapping[str, float], known: Sequence[str]) -> None:
    for key in given:
        if key not in known:
            raise ValueError(f"{key} is unknown: it must be {', '.join(known) or 'left out'}")
