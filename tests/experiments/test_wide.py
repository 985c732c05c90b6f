"""The bucket `wide` of the comparison: its networks, its turns and its table."""

import importlib.util

import jax
import pytest

from experiments.benchmarks.side_by_side import sides, wide
from experiments.benchmarks.side_by_side.wide import JAXEVO, SHAPES, TORCH, WIDTHS, WideCell, WideWork, wide_table
from experiments.benchmarks.side_by_side.work import BATCH_SIZE
from jaxevo.spaces.large_scale.architecture import architecture
from jaxevo.spaces.large_scale.cost import cost
from jaxevo.spaces.large_scale.network import Phenotype, variable_shapes

needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
over_networks = pytest.mark.parametrize(
    ("width", "shape"), [(width, shape) for width in WIDTHS for shape in SHAPES], ids=str
)


def test_the_network_has_five_convolutions_the_second_and_fourth_of_stride_two():
    shapes = architecture(wide.genotype(8, (28, 28, 1)), (28, 28, 1)).shapes
    assert shapes == ((28, 28, 1), (28, 28, 8), (14, 14, 16), (14, 14, 16), (7, 7, 32), (7, 7, 32))


@needs_torch
@over_networks
def test_both_sides_train_as_many_parameters(width, shape):
    import torch

    from experiments.benchmarks.side_by_side import wide_torch

    compiled = architecture(wide.genotype(width, shape), shape)
    arrays = jax.tree.leaves(variable_shapes(Phenotype(compiled, wide.CLASSES))["params"])
    network = wide_torch._network(WideWork(width, shape))
    ours = sum(array.size for array in arrays)
    assert ours == cost(compiled, wide.CLASSES, BATCH_SIZE).parameters
    assert sum(parameter.numel() for parameter in network.parameters()) == ours
    assert network[:-3](torch.zeros(2, *shape[2:], *shape[:2])).shape[1:] == (
        *compiled.shapes[-1][2:],
        *compiled.shapes[-1][:2],
    )


def test_sides_take_turns_and_ratios_are_taken_by_round():
    asked = []

    def run(side, work):
        asked.append((side, work.width))
        return {JAXEVO: 100.0, TORCH: 80.0}[side] * (1 + len(asked))

    [cell] = wide.measure([WideWork(8, (28, 28, 1))], (JAXEVO, TORCH), 2, run, lambda text: None)
    assert asked == [(JAXEVO, 8), (TORCH, 8)] * 2
    assert cell.rounds == {JAXEVO: [200.0, 400.0], TORCH: [240.0, 400.0]}
    assert cell.ratio == pytest.approx((200 / 240 + 1) / 2)


def test_the_table_names_what_is_missed():
    work = WideWork(8, (28, 28, 1), trainers=2)
    cells = [WideCell(work, {JAXEVO: [ours], TORCH: [1_000.0]}) for ours in (800.0, 1_100.0)]
    lines = wide_table(cells, (JAXEVO, TORCH)).splitlines()
    assert lines[2].startswith("| 28x28x1 | 8 | 2 | 800 (")
    assert lines[2].endswith("| 0.80; missed: 0.9 |")
    assert lines[3].endswith("| 1.10 |")
    assert cells[0].work.flops_per_image > 1e6
    assert WideCell(work, {JAXEVO: [1.0]}).ratio is None


def test_one_network_is_measured_on_one_core_and_on_two_lanes():
    for trainers in (1, 2):
        work = WideWork(2, (8, 8, 1), trainers, seconds=0.01, measurements=1)
        assert sides.images_a_second(JAXEVO, work) > 0


@needs_torch
def test_one_network_is_measured_by_pytorch_in_one_process_and_in_two():
    for trainers in (1, 2):
        work = WideWork(2, (8, 8, 1), trainers, seconds=0.01, measurements=1)
        assert sides.images_a_second(TORCH, work) > 0
