"""Ratios between the sides, and the targets for them."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from experiments.benchmarks.side_by_side.sides import FLAX, JAXEVO, TORCH
from experiments.benchmarks.side_by_side.streams import Bucket
from experiments.benchmarks.side_by_side.work import Trained

SHORT, LONG = "short", "long"


@dataclass(frozen=True)
class Cell:
    """One bucket of one stream in one regime, trained on every side.

    Attributes:
        stream: its name.
        bucket: of its genotypes.
        regime: `SHORT` or `LONG`.
        train_steps: of every individual.
        flops_per_image: of a forward pass, for each genotype.
        repeats: genotypes whose architecture an earlier genotype of the cell has.
        rounds: by side, its result in each round.
    """

    stream: str
    bucket: Bucket
    regime: str
    train_steps: int
    flops_per_image: tuple[int, ...]
    repeats: int
    rounds: dict[str, Sequence[Trained]]

    def speed(self, side: str) -> float:
        """Returns the median of the side's individuals an hour."""
        return statistics.median(self.speeds(side))

    def speeds(self, side: str) -> list[float]:
        """Returns the side's individuals an hour in each round."""
        return [trained.individuals_an_hour for trained in self.rounds[side]]

    def accuracy(self, side: str) -> float:
        """Returns the side's mean validation accuracy in its first round; a diverged network counts as 0."""
        accuracies = self.rounds[side][0].accuracies
        return statistics.fmean(accuracy or 0.0 for accuracy in accuracies)

    def diverged(self, side: str) -> int:
        """Returns the number of networks of the side's first round whose logits are not finite."""
        return sum(accuracy is None for accuracy in self.rounds[side][0].accuracies)

    @property
    def compile_share(self) -> float:
        """Share of jaxevo's lane time spent compiling, in [0, 1], median over the rounds."""
        details = [trained.details for trained in self.rounds[JAXEVO]]
        return statistics.median(
            one["compile_seconds"] / (one["compile_seconds"] + one["train_seconds"]) for one in details
        )


@dataclass(frozen=True)
class Ratio:
    """The ratio of jaxevo's individuals an hour to a peer's.

    Attributes:
        peer: the other side.
        values: one a round, so that a busy machine, which slows both, cancels.
        target: the least that the median should reach.
    """

    peer: str
    values: tuple[float, ...]
    target: float

    @property
    def median(self) -> float:
        """The median over the rounds."""
        return statistics.median(self.values)

    @property
    def met(self) -> bool:
        """True if the target is reached."""
        return self.median >= self.target


def ratios(cell: Cell) -> list[Ratio]:
    """Returns jaxevo's ratios to the plain Flax loop and to the better way to run PyTorch, if these were measured."""
    if JAXEVO not in cell.rounds:
        return []
    peers = [FLAX] if FLAX in cell.rounds else []
    torch = [side for side in TORCH if side in cell.rounds]
    if torch:
        peers.append(max(torch, key=cell.speed))
    return [Ratio(peer, _by_round(cell, peer), target(peer, cell.regime, cell.bucket)) for peer in peers]


def target(peer: str, regime: str, bucket: Bucket) -> float:
    """Returns the target for jaxevo's ratio to a peer, on two CPU cores."""
    if peer == FLAX:
        return 2.0 if regime == SHORT else 1.3
    if regime == SHORT:
        return 0.5
    return 1.0 if bucket is Bucket.SMALL else 0.75


def _by_round(cell: Cell, peer: str) -> tuple[float, ...]:
    pairs = zip(cell.speeds(JAXEVO), cell.speeds(peer), strict=True)
    return tuple(ours / theirs for ours, theirs in pairs)
