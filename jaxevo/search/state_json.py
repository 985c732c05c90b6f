"""The evolution state as JSON values, without fields that follow from settings, space and task."""

from typing import Any

from jaxevo.search.births import Birth, Derived, Inherited, Threshold, derive
from jaxevo.search.evolution import EvolutionState
from jaxevo.search.in_flight import InFlight
from jaxevo.search.population import Individual, Population
from jaxevo.search.space import SearchSpace, Task
from jaxevo.settings import Settings

_NUMBERS = ("events", "births", "clock", "total_flops", "best_accuracy", "fingerprint")


def state_to_json(state: EvolutionState, space: SearchSpace[Any]) -> dict[str, Any]:
    """Returns the state as JSON values; `state_from_json` reads them back exactly."""
    return {
        **{name: getattr(state, name) for name in _NUMBERS},
        "checks": state.checks,
        "population": [_to_json(individual, space) for individual in state.population],
        "in_flight": [_to_json(birth, space) for birth in state.in_flight],
        "best": None if state.best is None else _to_json(state.best, space),
    }


def state_from_json(fields: dict[str, Any], settings: Settings, space: SearchSpace[Any], task: Task) -> EvolutionState:
    """Returns the state that `state_to_json` wrote.

    Raises:
        ValueError, KeyError, TypeError: if the fields are not those of a state.
    """

    def individual(fields: dict[str, Any]) -> Individual:
        read = _from_json(fields, space)
        return Individual(**read, cost=derive(read["genotype"], settings, space, task).cost)

    in_flight = InFlight(birth_from_json(birth, settings, space, task) for birth in fields["in_flight"])
    population = Population(map(individual, fields["population"]))
    best = None if fields["best"] is None else individual(fields["best"])
    checks = tuple(map(tuple, fields["checks"]))
    return EvolutionState(
        **{**fields, "checks": checks, "population": population, "in_flight": in_flight, "best": best}
    )


def birth_to_json(birth: Birth, space: SearchSpace[Any]) -> dict[str, Any]:
    """Returns a birth as JSON values, without what follows from its genotype."""
    return _to_json(birth, space)


def birth_from_json(fields: dict[str, Any], settings: Settings, space: SearchSpace[Any], task: Task) -> Birth:
    """Returns the birth that `birth_to_json` wrote."""
    read = _from_json(fields, space)
    if read["inherited"] is not None:
        read["inherited"] = Inherited(**_from_json(read["inherited"], space))
    read["thresholds"] = tuple(Threshold(*threshold) for threshold in read["thresholds"])
    return Birth(**read, **derive(read["genotype"], settings, space, task)._asdict())


def _to_json(record: Individual | Birth | Inherited, space: SearchSpace[Any]) -> dict[str, Any]:
    fields = {name: value for name, value in vars(record).items() if name not in Derived._fields}
    fields["genotype"] = space.to_json(record.genotype)
    if isinstance(record, Birth) and record.inherited is not None:
        fields["inherited"] = _to_json(record.inherited, space)
    return fields


def _from_json(fields: dict[str, Any], space: SearchSpace[Any]) -> dict[str, Any]:
    return dict(fields, genotype=space.from_json(fields["genotype"]))
