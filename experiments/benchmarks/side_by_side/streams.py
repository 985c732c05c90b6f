"""The recorded streams of genotypes, and the size buckets that they are measured in."""

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
    """Sizes of networks, by their convolutions: at most two; three or four; five or more."""

    SMALL = "small"
    MID = "mid"
    DEEP = "deep"


@dataclass(frozen=True)
class Sample:
    """A genotype of a stream.

    Attributes:
        source: where it is from: an individual of a run, or a chain of mutations.
        genotype: itself.
    """

    source: str
    genotype: Genotype


@dataclass(frozen=True)
class Stream:
    """Genotypes that were recorded, in the order of their births.

    Attributes:
        name: of the stream.
        provenance: the first line of its file: how it was made, and what it was made from.
        samples: the genotypes.
    """

    name: str
    provenance: dict[str, Any]
    samples: tuple[Sample, ...]

    @property
    def dataset(self) -> str:
        """What its networks classify, by name."""
        return str(self.provenance["dataset"])

    @property
    def image_shape(self) -> ImageShape:
        """Height, width, channels."""
        height, width, channels = self.provenance["image_shape"]
        return height, width, channels

    def bucket(self, bucket: Bucket) -> tuple[Genotype, ...]:
        """Returns the genotypes of a bucket, in order; none where the run grew none."""
        return tuple(sample.genotype for sample in self.samples if bucket_of(sample.genotype) is bucket)

    def chosen(self, bucket: Bucket, count: int) -> tuple[Genotype, ...]:
        """Returns at most `count` genotypes of a bucket, evenly over the stream, those of most FLOPs first.

        So the last ones are short, and no lane or process waits long for another's last: a stream has no end in a run.
        """
        found = self.bucket(bucket)
        return tuple(sorted(evenly(found, count), key=self.flops_per_image, reverse=True))

    def flops_per_image(self, genotype: Genotype) -> int:
        """Returns the FLOPs of a forward pass of one image."""
        return cost(self.architecture(genotype), self.provenance["num_classes"], batch_size=1).forward_flops

    def architecture(self, genotype: Genotype) -> Architecture:
        """Returns what is compiled for a genotype."""
        return architecture(genotype, self.image_shape)


def bucket_of(genotype: Genotype) -> Bucket:
    """Returns the bucket that a genotype belongs to."""
    if genotype.convolutions >= _DEEP_CONVOLUTIONS:
        return Bucket.DEEP
    return Bucket.MID if genotype.convolutions >= _MID_CONVOLUTIONS else Bucket.SMALL


def evenly(items: tuple[T, ...], count: int) -> tuple[T, ...]:
    """Returns `count` of the items, spread evenly, or all where there are no more."""
    if len(items) <= count:
        return items
    return tuple(items[place * len(items) // count] for place in range(count))


def read_stream(name: str, folder: Path = FOLDER) -> Stream:
    """Reads a recorded stream; raises `ValueError` where its file is not one."""
    header, *lines = map(json.loads, (folder / f"{name}.jsonl").read_text().splitlines())
    samples = tuple(Sample(line["source"], genotype_from_json(line["genotype"])) for line in lines)
    return Stream(name, header, samples)


def write_stream(stream: Stream, folder: Path = FOLDER) -> None:
    """Writes a stream: its provenance, then a genotype a line."""
    lines = [stream.provenance]
    lines += [{"source": sample.source, "genotype": sample.genotype.to_json()} for sample in stream.samples]
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    (folder / f"{stream.name}.jsonl").write_text(text)
