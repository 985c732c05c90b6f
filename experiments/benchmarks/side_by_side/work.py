"""The work of a side, and its result: plain values that pass between processes as JSON."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from jaxevo.settings import Settings
from jaxevo.spaces.large_scale.genotype import Genotype, genotype_from_json

BATCH_SIZE = 50
"""Images in a training batch, as in the paper and in every preset."""


@dataclass(frozen=True)
class Work:
    """Individuals to train, each from fresh weights.

    Attributes:
        dataset: name of the data set.
        train_steps: of every individual.
        genotypes: in the order of training; the index of one is the id for which its images are drawn.
    """

    dataset: str
    train_steps: int
    genotypes: tuple[Genotype, ...]

    @property
    def settings(self) -> Settings:
        """Settings of all sides: the defaults of a run, with the data set's own augmentation."""
        return Settings(dataset=self.dataset, train_steps=self.train_steps, batch_size=BATCH_SIZE)

    def to_json(self) -> dict[str, Any]:
        """Returns the work as JSON values."""
        genotypes = [genotype.to_json() for genotype in self.genotypes]
        return {"dataset": self.dataset, "train_steps": self.train_steps, "genotypes": genotypes}


def work_from_json(fields: Any) -> Work:
    """Returns the work that `Work.to_json` wrote."""
    genotypes = tuple(map(genotype_from_json, fields["genotypes"]))
    return Work(fields["dataset"], fields["train_steps"], genotypes)


@dataclass(frozen=True)
class Trained:
    """The result of a side.

    Attributes:
        seconds: wall time from the first individual's begin to the last one's end.
        startup_seconds: wall time before that, for imports, devices and data.
        accuracies: of each individual over the whole validation split, in [0, 1]; None if a logit was not finite.
        details: further numbers, by name.
    """

    seconds: float
    startup_seconds: float
    accuracies: tuple[float | None, ...]
    details: dict[str, float] = field(default_factory=dict)

    @property
    def individuals_an_hour(self) -> float:
        """Individuals trained and validated in an hour, without the start of the process."""
        return 3600 * len(self.accuracies) / self.seconds

    def to_json(self) -> dict[str, Any]:
        """Returns the result as JSON values."""
        return dataclasses.asdict(self)


def trained_from_json(fields: Any) -> Trained:
    """Returns the result that `Trained.to_json` wrote."""
    return Trained(**{**fields, "accuracies": tuple(fields["accuracies"])})
