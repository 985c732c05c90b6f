"""The entry point; see the package."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import experiments.benchmarks.accelerators
from experiments.benchmarks.accelerators import kept
from experiments.benchmarks.accelerators.compiling import Case, Figures, compile_all
from experiments.benchmarks.accelerators.genotypes import genotypes
from experiments.benchmarks.accelerators.targets import TARGETS
from experiments.benchmarks.apart import in_fresh_process
from experiments.benchmarks.markdown import table
from experiments.entry import exit_with, program

_HEADER = (
    "target",
    "type",
    "devices",
    "batch",
    "genotype",
    "compile CPU s",
    "code MiB",
    "temporary MiB",
    "estimate over compiler's memory",
    "compiler's FLOPs over count",
    "operations a step",
    "cycles a step",
)


def main(arguments: list[str] | None = None) -> int:
    """Compiles what is not in the file yet, and prints the table; returns 0."""
    parser = program("experiments.benchmarks.accelerators", experiments.benchmarks.accelerators.__doc__)
    names = list(genotypes())
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS), help="default: all")
    parser.add_argument("--types", nargs="+", choices=("float32", "bfloat16"), default=["float32", "bfloat16"])
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 4], help="that share a batch; default: 1 4")
    parser.add_argument("--batch-size", type=int, help="default: 50, and 48 for more than two devices")
    parser.add_argument("--genotypes", nargs="+", choices=names, default=names, help="default: all twelve")
    parser.add_argument("--flags", nargs="+", default=[], help="more flags for XLA; use a file of their own")
    parser.add_argument("--file", type=Path, default=Path("runs/accelerators.jsonl"), help="default: %(default)s")
    given = parser.parse_args(arguments)
    cases = [
        Case(target, compute_dtype, devices, given.batch_size or (50 if 50 % devices == 0 else 48))
        for target, compute_dtype, devices in itertools.product(given.targets, given.types, given.devices)
    ]
    for case, left in kept.missing(cases, given.genotypes, kept.read(given.file)).items():
        # One genotype a process, so that what was compiled is kept however the next one ends.
        for name in left:
            print(f"{case.target}, {case.compute_dtype}, {case.devices} devices: {name}", flush=True)
            kept.add(given.file, in_fresh_process(compile_all, case, [name], tuple(given.flags)))
    rows = [
        figures for figures in kept.read(given.file) if figures.case in cases and figures.genotype in given.genotypes
    ]
    print("\n".join(sorted({f"JAX {figures.jax}, {figures.compiler}" for figures in rows})), end="\n\n")
    print(table(_HEADER, map(_cells, rows)))
    return 0


def _cells(figures: Figures) -> Sequence[str]:
    case = figures.case
    return (
        case.target,
        case.compute_dtype,
        str(case.devices),
        str(case.batch_size),
        figures.genotype,
        f"{figures.cpu_seconds:.1f}",
        f"{figures.code / 2**20:.1f}" if figures.code else "-",
        f"{figures.temporary / 2**20:.1f}",
        f"{figures.memory_ratio:.2f}",
        f"{figures.flops_ratio:.2f}" if figures.flops else "-",
        f"{figures.operations}",
        f"{figures.cycles:,}" if figures.cycles else "-",
    )


if __name__ == "__main__":
    exit_with(main)
