"""What the journal of a run with doors from outside holds beside the records, so that readers run none of their code.

Each birth is described, and each told event is noted, as they are decided.
"""

import dataclasses
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from jaxevo.doors.opening import Door, DoorError, check_named
from jaxevo.search.births import Birth, Inherited, Threshold, json_sha256
from jaxevo.search.space import Box, Cost, Drawing, MutationFactory, SearchSpace, Task, Training
from jaxevo.search.state_json import birth_to_json


@dataclass(frozen=True)
class Description:
    """A birth, as a reader must know it without its search space.

    Attributes:
        id: of the birth.
        birth: the birth as JSON values, with its genotype.
        cost: fields of its cost.
        training: fields of its training.
        flops: FLOPs of training and validation together, without checks.
        summary: columns of histories and reports.
        drawing: boxes, edges and caption.
    """

    id: int
    birth: dict[str, Any]
    cost: dict[str, Any]
    training: dict[str, Any]
    flops: int
    summary: dict[str, float | str]
    drawing: list[Any]


@dataclass(frozen=True)
class Told:
    """A told event.

    Attributes:
        event: number of the event, from 1.
        id: of the individual that was told.
        fitness: of the individual; minus infinity if its training failed.
        clock: virtual time after the event, in seconds.
        total_flops: FLOPs of all told individuals together.
        dead: individuals that died before the event, after the one before it.
        fingerprint: after the event.
    """

    event: int
    id: int
    fitness: float
    clock: float
    total_flops: int
    dead: tuple[int, ...]
    fingerprint: str


def describe(birth: Birth, space: SearchSpace[Any], task: Task) -> Description:
    """Returns the description of a birth."""
    return Description(
        birth.id,
        birth_to_json(birth, space),
        dataclasses.asdict(birth.cost),
        birth.training._asdict(),
        birth.flops,
        dict(space.summary(birth.genotype, task)),
        list(space.drawing(birth.genotype, task)),
    )


def described_birth(description: Description) -> Birth:
    """Returns a described birth. Its genotypes are JSON values, and it has no architecture."""
    fields = dict(description.birth)
    inherited = fields.pop("inherited")
    thresholds = tuple(Threshold(*threshold) for threshold in fields.pop("thresholds"))
    return Birth(
        **fields,
        inherited=None if inherited is None else Inherited(**inherited),
        thresholds=thresholds,
        genotype_sha256=json_sha256(fields["genotype"]),
        architecture=None,
        cost=Cost(**description.cost),
        training=Training(**description.training),
        flops=description.flops,
    )


class RecordedSpace(SearchSpace[Any]):
    """A search space from outside as far as a journal describes it: genotypes are JSON values, and no code runs."""

    def __init__(self, records: tuple[Door, ...], descriptions: Iterable[Description]) -> None:
        """Takes the doors of a run, for messages, and the descriptions of its births."""
        self._records = records
        self._described = {json_sha256(one.birth["genotype"]): one for one in descriptions}

    def to_json(self, genotype: Any) -> Any:
        """Returns the genotype, which is JSON values."""
        return genotype

    def from_json(self, value: Any) -> Any:
        """Returns the value."""
        return value

    def training(self, genotype: Any) -> Training:
        """Returns the described training."""
        return Training(**self._of(genotype).training)

    def summary(self, genotype: Any, task: Task) -> Mapping[str, float | str]:
        """Returns the described columns."""
        return self._of(genotype).summary

    def drawing(self, genotype: Any, task: Task) -> Drawing:
        """Returns the described drawing."""
        boxes, edges, caption = self._of(genotype).drawing
        return Drawing(
            tuple(Box(title, detail, tuple(shape), *others) for title, detail, shape, *others in boxes),
            tuple((source, target) for source, target in edges),
            caption,
        )

    @property
    def network(self) -> str | None:  # type: ignore[override]  # Only asked for to run it.
        """Raises `DoorError`: networks are code from outside."""
        self._refuse()

    @property
    def mutations(self) -> Mapping[str, MutationFactory[Any]]:
        """Raises `DoorError`."""
        self._refuse()

    def initial(self, generator: np.random.Generator, task: Task) -> Any:
        """Raises `DoorError`."""
        self._refuse()

    def architecture(self, genotype: Any, task: Task) -> Hashable:
        """Raises `DoorError`."""
        self._refuse()

    def cost(self, architecture: Any, task: Task, batch_size: int, evaluation_batch_size: int) -> Cost:
        """Raises `DoorError`."""
        self._refuse()

    def _of(self, genotype: Any) -> Description:
        return self._described[json_sha256(genotype)]

    def _refuse(self) -> NoReturn:
        check_named(self._records, ())
        raise DoorError("the run has no doors from outside")
