"""The recorded streams of genotypes, and their buckets by size."""

import enum
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from jaxevo.search.space import ImageShape
from jaxevo.spaces.large_scale.architecture import Architecture, architecture
from jaxevo.spaces.large_scale.cost import cost
from jaxevo.spaces.large_scale.genotype import Genotype, genotype_from_json

FOLDER = Path(__file__).parent / "streams"
NAMES = ("demo", "fashion")

T = TypeVar("T")

_MID_CONVOLUTIONS = 3
_DEEP_CONVOLUTIONS = 5


class Bucket(enum.StrEnum):
    """Sizes of networks by number of convolutions: at most two, three or four, five or more."""

    SMALL = "small"
    MID = "mid"
    DEEP = "deep"


@dataclass(frozen=True)
class Sample:
    """A genotype of a stream.

    Attributes:
        source: its origin, an individual of a run or a chain of mutations.
        genotype: the genotype itself.
    """

    source: str
    genotype: Genotype


@dataclass(frozen=True)
class Stream:
    """Recorded genotypes, in the order of their births.

    Attributes:
        name: of the stream.
        provenance: the first line of its file, which tells the run it was made from.
        samples: the genotypes.
    """

    name: str
    provenance: dict[str, Any]
    samples: tuple[Sample, ...]

    @property
    def dataset(self) -> str:
        """Name of the data set that its networks classify."""
        return str(self.provenance["dataset"])

    @property
    def image_shape(self) -> ImageShape:
        """Height, width, channels."""
        height, width, channels = self.provenance["image_shape"]
        return height, width, channels

    def bucket(self, bucket: Bucket) -> tuple[Genotype, ...]:
        """Returns the genotypes of a bucket in order; there may be none."""
        return tuple(sample.genotype for sample in self.samples if bucket_of(sample.genotype) is bucket)

    def chosen(self, bucket: Bucket, count: int) -> tuple[Genotype, ...]:
        """Returns at most `count` genotypes of a bucket, spread evenly over the stream, those of most FLOPs first.

        Then the last trainings are short, and no lane or process waits long for another. A run has no such end.
        """
        found = self.bucket(bucket)
        return tuple(sorted(evenly(found, count), key=self.flops_per_image, reverse=True))

    def flops_per_image(self, genotype: Genotype) -> int:
        """Returns the FLOPs of a forward pass of one image."""
        return cost(self.architecture(genotype), self.provenance["num_classes"], batch_size=1).forward_flops

    def architecture(self, genotype: Genotype) -> Architecture:
        """Returns the architecture of a genotype."""
        return architecture(genotype, self.image_shape)


def bucket_of(genotype: Genotype) -> Bucket:
    """Returns the bucket of a genotype."""
    if genotype.convolutions >= _DEEP_CONVOLUTIONS:
        return Bucket.DEEP
    return Bucket.MID if genotype.convolutions >= _MID_CONVOLUTIONS else Bucket.SMALL


def evenly(items: tuple[T, ...], count: int) -> tuple[T, ...]:
    """Returns `count` items, spread evenly, or all if there are fewer."""
    if len(items) <= count:
        return items
    return tuple(items[place * len(items) // count] for place in range(count))


def read_stream(name: str, folder: Path = FOLDER) -> Stream:
    """Reads a recorded stream; raises `ValueError` if its file is not one."""
    header, *lines = map(json.loads, (folder / f"{name}.jsonl").read_text().splitlines())
    samples = tuple(Sample(line["source"], genotype_from_json(line["genotype"])) for line in lines)
    return Stream(name, header, samples)


def write_stream(stream: Stream, folder: Path = FOLDER) -> None:
    """Writes a stream: one line of provenance, then one for each genotype."""
    lines = [stream.provenance]
    lines += [{"source": sample.source, "genotype": sample.genotype.to_json()} for sample in stream.samples]
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    (folder / f"{stream.name}.jsonl").write_text(text)
