"""Warm starts: initial individuals from an earlier run or from a genotype, as the manifest records them.

Their weights are copied into the new run's folder and stay there for good, so that the run can be verified, retrained
and replayed without its source.
"""

import re
from dataclasses import dataclass
from typing import Any

from jaxevo.search.births import Inherited, Initial
from jaxevo.search.space import SearchSpace

_INITIAL_NAME = re.compile(r"initial-\d{6,}")


@dataclass(frozen=True)
class WarmStart:
    """The source of a run's initial individuals.

    Attributes:
        source: name of the source's folder, or of the file with the genotype.
        sha256: fingerprint of the source at its last event, or hash of the file.
        events: number of events of the source, None for a file.
        trained_on: the data sets on which the weights were trained: name and fingerprint, the earliest first.
        genotypes: the initial genotypes as JSON values, one or more.
        weights_sha256: hashes of their weights; empty for fresh weights.
    """

    source: str
    sha256: str
    events: int | None
    trained_on: tuple[tuple[str, str], ...]
    genotypes: tuple[Any, ...]
    weights_sha256: tuple[str, ...]

    def __str__(self) -> str:
        """Returns the source as text."""
        if self.events is None:
            return f"the genotype in {self.source}, with fresh weights"
        return f"the {len(self.genotypes)} fittest of {self.source} after {self.events} events, with their weights"


def warm_start_from_json(fields: Any) -> WarmStart | None:
    """Returns the warm start that `dataclasses.asdict` wrote, None for None.

    Raises:
        TypeError, KeyError, ValueError: if the fields are not those of a warm start.
    """
    if fields is None:
        return None
    lists = {name: tuple(fields[name]) for name in ("genotypes", "weights_sha256")}
    trained_on = tuple((str(name), str(fingerprint)) for name, fingerprint in fields["trained_on"])
    return WarmStart(**{**fields, **lists, "trained_on": trained_on})


def initial_individuals(warm_start: WarmStart | None, space: SearchSpace[Any]) -> tuple[Initial, ...]:
    """Returns the beginnings of the initial individuals; empty without a warm start.

    Raises:
        ValueError: if a genotype is none of the space.
    """
    if warm_start is None:
        return ()
    genotypes = map(space.from_json, warm_start.genotypes)
    if not warm_start.weights_sha256:
        return tuple(map(Initial, genotypes))
    return tuple(
        Initial(genotype, Inherited(genotype, initial_weights_name(place), sha256))
        for place, (genotype, sha256) in enumerate(zip(genotypes, warm_start.weights_sha256, strict=True))
    )


def initial_weights_name(place: int) -> str:
    """Returns the name of the weights of the initial individual at a place of the warm start."""
    return f"initial-{place:06d}"


def is_initial(name: str) -> bool:
    """Returns True if a name of weights is that of a warm start."""
    return _INITIAL_NAME.fullmatch(name) is not None
