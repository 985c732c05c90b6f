"""Records streams of genotypes from real runs.

The streams here were recorded on 2026-11-24 with the presets of that day; the first line of each file has their
settings. To record runs of today:

    python -m jaxevo run --dataset digits --max-individuals 450 --finish-share none --workdir runs/demo
    python -m jaxevo run --preset small --train-steps 100 --population-size 32 --num-workers 8 \
        --max-individuals 600 --finish-share none --workdir runs/fashion
    python -m experiments.benchmarks.side_by_side.record demo runs/demo
    python -m experiments.benchmarks.side_by_side.record fashion runs/fashion --events 600 --grown 6

A stream holds some individuals of every bucket, spread evenly over the run, without failed ones. Each architecture of
the run is taken once. In a run many individuals share one, which jaxevo does not compile again, so that leaving them
out is hard on jaxevo. `--grown` adds large networks, which so short a run does not reach: chains of mutations in which
a mutation is accepted only if it loses neither convolutions nor FLOPs.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import jaxevo
from experiments.benchmarks.side_by_side.streams import (
    FOLDER,
    NAMES,
    Bucket,
    Sample,
    Stream,
    bucket_of,
    evenly,
    write_stream,
)
from experiments.entry import exit_with, program
from jaxevo import Run
from jaxevo.search.evolution import mutants
from jaxevo.search.space import ImageShape, Task
from jaxevo.spaces.large_scale.architecture import Architecture, architecture
from jaxevo.spaces.large_scale.cost import cost
from jaxevo.spaces.large_scale.genotype import Genotype, genotype_from_json
from jaxevo.spaces.large_scale.mutation import MUTATIONS

_CLASSES = 10
_GROWN_FLOPS = 200_000, 800_000
"""Least and most FLOPs of a grown network's forward pass of one image."""
_CHAIN_LENGTH = 60


def main(arguments: list[str] | None = None) -> int:
    """Records the stream that the arguments name; returns 0."""
    parser = program("experiments.benchmarks.side_by_side.record", __doc__)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("workdir", type=Path, help="the run to record")
    parser.add_argument("--events", type=int, help="take from the run's first individuals, so many; default: all")
    parser.add_argument("--each", type=int, default=12, help="individuals of the run for each bucket; default: 12")
    parser.add_argument("--grown", type=int, default=0, help="networks to grow by chains of mutations; default: 0")
    given = parser.parse_args(arguments)
    stream = record(given.name, jaxevo.open(given.workdir, given.events), given.each, given.grown)
    write_stream(stream)
    print(f"{len(stream.samples)} genotypes in {FOLDER / given.name}.jsonl")
    return 0


def record(name: str, run: Run, each: int, grown: int) -> Stream:
    """Returns a stream of a run's individuals, at most `each` of every bucket, and `grown` grown networks."""
    shape = run.manifest.task.image_shape
    history = run.history[run.history["failure"].isna()]
    firsts: dict[Architecture, Sample] = {}
    for number, fields in zip(history["id"], history["genotype"], strict=True):
        genotype = genotype_from_json(fields)
        firsts.setdefault(architecture(genotype, shape), Sample(f"individual {number}", genotype))
    found = {
        bucket: tuple(sample for sample in firsts.values() if bucket_of(sample.genotype) is bucket) for bucket in Bucket
    }
    settings = run.settings
    provenance = {
        "stream": name,
        "dataset": settings.dataset,
        "image_shape": list(shape),
        "num_classes": len(run.manifest.class_names),
        "run": {
            "seed": settings.seed,
            "population_size": settings.population_size,
            "num_workers": settings.virtual_workers,
            "train_steps": settings.train_steps,
            "individuals": run.events,
            "fingerprint": run.fingerprint,
            "known_architectures": len(history) - len(firsts),
            "architectures": {bucket.value: len(samples) for bucket, samples in found.items()},
        },
        "grown": grown,
    }
    chosen = [sample for samples in found.values() for sample in evenly(samples, each)]
    chains = (Sample(f"chain of seed {seed}", genotype) for seed, genotype in _grown(shape, grown))
    return Stream(name, provenance, (*chosen, *chains))


def _grown(shape: ImageShape, count: int) -> Iterator[tuple[int, Genotype]]:
    """Yields the first `count` chains that reach the wanted size, each with its seed."""
    chains = ((seed, _chain(seed, shape)) for seed in itertools.count())
    reached = ((seed, genotype) for seed, genotype in chains if genotype is not None)
    return itertools.islice(reached, count)


def _chain(seed: int, shape: ImageShape) -> Genotype | None:
    """Returns the end of a chain of mutations, or None if it does not reach the wanted size."""
    generator = np.random.default_rng(seed)
    genotype, (low, high) = Genotype(0.1), _GROWN_FLOPS
    for _ in range(_CHAIN_LENGTH):
        parent = genotype

        def grows(child: Genotype, parent: Genotype = parent) -> bool:
            kept = child.convolutions >= parent.convolutions
            return kept and _flops(parent, shape) <= _flops(child, shape) <= high

        children = (child for _, child in mutants(generator, parent, MUTATIONS, Task(shape, _CLASSES, 0)))
        genotype = next(filter(grows, children))
        if bucket_of(genotype) is Bucket.DEEP and _flops(genotype, shape) >= low:
            return genotype
    return None


def _flops(genotype: Genotype, shape: ImageShape) -> int:
    return cost(architecture(genotype, shape), _CLASSES, batch_size=1).forward_flops


if __name__ == "__main__":
    exit_with(main)
