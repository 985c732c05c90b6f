"""The loop of a compiled training, read from the text of its program."""

import re
from typing import NamedTuple

_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\{$", re.MULTILINE)
_OPERATION = re.compile(r"^ +(?:ROOT )?%?[\w.\-]+ = .*?[\])}] ([a-z][\w\-]*)\(", re.MULTILINE)
_BODY = re.compile(r" while\(.*?body=%?([\w.\-]+)")
_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
# They cost nothing when a program runs.
_FREE = frozenset(("parameter", "constant", "get-tuple-element", "tuple", "bitcast", "after-all", "partition-id"))
_GATHER = re.compile(r" = u8\S* gather\(.*?slice_sizes=\{([\d,]+)\}")


class Loop(NamedTuple):
    """The loop over the steps of a chunk.

    Attributes:
        operations: of a step: fusions, convolutions, copies and others that take time, not those inside fusions.
        cycles: of a step, estimated by the TPU's compiler, which leaves gathers out; 0 for a GPU.
    """

    operations: int
    cycles: int


def loop_of(text: str) -> Loop:
    """Returns the loop of a compiled training's program: of all loops, the one with the most operations.

    Raises:
        ValueError: if the program has no loop.
    """
    computations = _computations(text)
    bodies = [computations[name] for name in set(_BODY.findall(text))]
    if not bodies:
        raise ValueError("the program has no loop, though a chunk of steps should be one")
    loops = [Loop(_operations(body), sum(map(int, _CYCLES.findall(body)))) for body in bodies]
    return max(loops)


def bytes_gathered(text: str) -> list[int]:
    """Returns how many bytes each gather of bytes picks by one index."""
    sizes = [list(map(int, found.split(","))) for found in _GATHER.findall(text)]
    products = []
    for size in sizes:
        product = 1
        for one in size:
            product *= one
        products.append(product)
    return products


def _computations(text: str) -> dict[str, str]:
    starts = list(_COMPUTATION.finditer(text))
    ends = [start.start() for start in starts[1:]] + [len(text)]
    return {start[1]: text[start.end() : end] for start, end in zip(starts, ends, strict=True)}


def _operations(body: str) -> int:
    return sum(found not in _FREE for found in _OPERATION.findall(body))
