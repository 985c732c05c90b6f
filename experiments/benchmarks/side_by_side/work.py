"""What a side is to train, and what it says of it: plain values that pass between processes as JSON."""

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
        dataset: what to classify, by name.
        train_steps: of every individual.
        genotypes: in the order in which they are taken; the place of one is the id that its images are drawn for.
    """

    dataset: str
    train_steps: int
    genotypes: tuple[Genotype, ...]

    @property
    def settings(self) -> Settings:
        """What all sides train with: the defaults of a run, the data set's own augmentation among them."""
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
    """What a side did.

    Attributes:
        seconds: from the first individual's begin to the last one's end, by the clock.
        startup_seconds: before, for imports, devices and data.
        accuracies: of each individual over the whole validation split, in [0, 1]; None where a logit was not finite.
        details: more numbers, by name.
    """

    seconds: float
    startup_seconds: float
    accuracies: tuple[float | None, ...]
    details: dict[str, float] = field(default_factory=dict)

    @property
    def individuals_an_hour(self) -> float:
        """Individuals trained and validated an hour, the start of the process left out."""
        return 3600 * len(self.accuracies) / self.seconds

    def to_json(self) -> dict[str, Any]:
        """Returns it as JSON values."""
        return dataclasses.asdict(self)


def trained_from_json(fields: Any) -> Trained:
    """Returns what `Trained.to_json` wrote."""
    return Trained(**{**fields, "accuracies": tuple(fields["accuracies"])})
