"""An immutable collection of the births in flight, ordered by due time and found by id."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from typing import Generic, Protocol, TypeVar

from jaxevo.search.ordered import Ordered

by_due = operator.attrgetter("due", "id")
"""The order in which births are told and trained."""
_by_id = operator.attrgetter("id")


class Due(Protocol):
    """An item with an id and a due time."""

    @property
    def id(self) -> int:
        """A unique number."""

    @property
    def due(self) -> float:
        """The due time, in virtual seconds."""


B = TypeVar("B", bound=Due)


class InFlight(Generic[B]):
    """Births ordered by (due, id)."""

    def __init__(self, births: Iterable[B] = ()) -> None:
        """Takes births in any order."""
        # Both orders are needed: the virtual clock tells the first one due, the wall clock any one by its id.
        self._by_due = Ordered(by_due, births)
        self._by_id = Ordered(_by_id, self._by_due)

    def __len__(self) -> int:
        """Returns the number of births in flight."""
        return len(self._by_due)

    def __iter__(self) -> Iterator[B]:
        """Iterates over the births in due order."""
        return iter(self._by_due)

    def __getitem__(self, index: int) -> B:
        """Returns the birth at an index in due order; raises `IndexError` if there is none."""
        return self._by_due[index]

    def __eq__(self, other: object) -> bool:
        """Returns True if both hold equal births."""
        return self._by_due == other._by_due if isinstance(other, InFlight) else NotImplemented

    def __hash__(self) -> int:
        """Returns the hash of the births."""
        return hash(self._by_due)

    def __repr__(self) -> str:
        """Returns the births as text."""
        return f"InFlight({list(self)})"

    def find(self, birth_id: int) -> B | None:
        """Returns the birth with an id, or None if it is not in flight."""
        return self._by_id.find(birth_id)

    def add(self, birth: B) -> InFlight[B]:
        """Returns the collection with one more birth."""
        return self._with(self._by_due.add(birth), self._by_id.add(birth))

    def remove(self, birth: B) -> InFlight[B]:
        """Returns the collection without a birth; raises `KeyError` if it is not in flight."""
        return self._with(self._by_due.discard(by_due(birth)), self._by_id.discard(birth.id))

    @staticmethod
    def _with(by_due: Ordered[B], by_id: Ordered[B]) -> InFlight[B]:
        changed: InFlight[B] = object.__new__(InFlight)
        changed._by_due, changed._by_id = by_due, by_id
        return changed
