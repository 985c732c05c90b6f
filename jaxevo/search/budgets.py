"""Budgets of a network: parameters, FLOPs an image, memory. A birth that exceeds one is drawn again."""

from typing import Any, NamedTuple

import numpy as np

from jaxevo.search.births import derive
from jaxevo.search.doors import Doors
from jaxevo.search.randomness import Purpose, keyed_generator
from jaxevo.search.space import Cost, Mutation, Task
from jaxevo.settings import Settings

_FIRST_BUDGET = 0.1
"""Share of `max_flops_per_image` that the first birth has, if the budget rises."""
_DRAWN = 32
"""Children of each mutation that are drawn to see whether it is within the budgets."""


class OverBudget(NamedTuple):
    """A budget that a birth exceeds.

    Attributes:
        sentence: the budget and what is needed.
        rising: True if later births may use more.
    """

    sentence: str
    rising: bool


def over_budget(cost: Cost, settings: Settings, birth_id: int) -> OverBudget | None:
    """Returns the first budget that a birth exceeds, or None."""
    for name, value in (
        ("max_parameters", cost.parameters),
        ("max_flops_per_image", cost.forward_flops),
        ("max_memory", cost.memory),
    ):
        budget = _budget(name, settings, birth_id)
        if budget is not None and value > budget:
            rising = budget != getattr(settings, name)
            part = f", of which birth {birth_id} may use {budget:,.0f}" if rising else ""
            return OverBudget(f"{name} is {getattr(settings, name)}{part}, but {value} are needed", rising)
    return None


def first_mutations_over_budget(settings: Settings, doors: Doors, task: Task) -> list[str]:
    """Returns a sentence for each mutation that takes an initial individual over budget, even when that has risen.

    Several children of the first individual are drawn; one within the budgets is enough.
    """
    initial = doors.space.initial(keyed_generator(settings.seed, 0, Purpose.INITIAL_GENOTYPE), task)
    possible = [mutation for mutation in doors.mutations if mutation.weight]
    return [
        f"none of {_DRAWN} drawn {mutation.name} of an initial individual is within the budgets ({over.sentence})"
        for mutation in possible
        if (over := _least_over_budget(mutation, initial, settings, doors, task)) is not None
    ]


def _least_over_budget(
    mutation: Mutation[Any], genotype: Any, settings: Settings, doors: Doors, task: Task
) -> OverBudget | None:
    """Returns the budget that the cheapest of several children exceeds, None if one of them exceeds none."""
    generator = np.random.default_rng(0)
    found: list[tuple[float, OverBudget]] = []
    for _ in range(_DRAWN):
        child = mutation.apply(generator, genotype, task)
        if child is None:
            continue
        cost = derive(child, settings, doors.space, task).cost
        over = over_budget(cost, settings, settings.budget_births)
        if over is None:
            return None
        found.append((cost.forward_flops, over))
    return min(found, key=lambda one: one[0])[1] if found else None


def _budget(name: str, settings: Settings, birth_id: int) -> float | None:
    budget: int | None = getattr(settings, name)
    if budget is None or name != "max_flops_per_image" or birth_id >= settings.budget_births:
        return budget
    return float(budget * _FIRST_BUDGET ** (1 - birth_id / settings.budget_births))
