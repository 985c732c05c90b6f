"""Budgets that leave no room to grow. What births may cost is tested with the evolution."""

import dataclasses
import re

import pytest

from jaxevo.doors.opening import built_in
from jaxevo.presets import PRESETS
from jaxevo.search.budgets import first_mutations_over_budget
from jaxevo.search.space import Mutation, Task

SMALL, _ = PRESETS["small"]


def on_images(*shape):
    return Task(input_shape=shape, num_classes=10, validation_images=100)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (32, 32, 3), (96, 96, 3)])
def test_presets_leave_room_for_a_convolution(name, shape):
    settings, _ = PRESETS[name]
    assert first_mutations_over_budget(settings, built_in(settings), on_images(*shape)) == []


def test_images_too_large_for_a_convolution_are_told_with_what_it_needs():
    (sentence,) = first_mutations_over_budget(SMALL, built_in(SMALL), on_images(224, 224, 3))
    assert "INSERT-CONVOLUTION of an initial individual" in sentence
    assert "max_flops_per_image is 12000000" in sentence
    needed = int(re.search(r"but (\d+) are needed", sentence)[1])
    for budget, number in ((needed, 0), (needed - 1, 1)):
        settings = dataclasses.replace(SMALL, max_flops_per_image=budget)
        assert len(first_mutations_over_budget(settings, built_in(settings), on_images(224, 224, 3))) == number


def test_a_mutation_that_never_applies_or_is_never_drawn_is_no_matter_of_budgets():
    doors = built_in(SMALL)
    never = Mutation("NEVER", lambda generator, genotype, task: None)
    insertion = next(one for one in doors.mutations if one.name == "INSERT-CONVOLUTION")
    undrawn = insertion._replace(weight=0.0)
    others = tuple(one for one in doors.mutations if one is not insertion)
    doors = doors._replace(mutations=(*others, undrawn, never))
    assert first_mutations_over_budget(SMALL, doors, on_images(224, 224, 3)) == []
