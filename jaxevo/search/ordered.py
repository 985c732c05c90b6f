"""An immutable sorted sequence whose changes stay cheap as it grows.

Adding to a tuple of n items copies all n. Here the items lie in blocks of bounded size, and a change copies one block
and the list of blocks: some hundred pointers each for a hundred thousand items. Unchanged blocks are shared with the
previous sequence.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

_BLOCK = 256
"""Most items in a block. Two neighbours that hold fewer than half as many together are merged."""

T = TypeVar("T")


class Ordered(Generic[T]):
    """Items in ascending order of their unique keys.

    Sequences are equal if they hold equal items, whatever their blocks.
    """

    def __init__(self, key: Callable[[T], Any], items: Iterable[T] = ()) -> None:
        """Sorts the items.

        Args:
            key: function that returns the key of an item.
            items: in any order.
        """
        ordered = sorted(items, key=key)
        self._key = key
        self._blocks = tuple(tuple(ordered[start : start + _BLOCK]) for start in range(0, len(ordered), _BLOCK))
        self._length = len(ordered)
        self._ends: tuple[int, ...] | None = None

    def __len__(self) -> int:
        """Returns the number of items."""
        return self._length

    def __iter__(self) -> Iterator[T]:
        """Iterates over the items in order."""
        return itertools.chain.from_iterable(self._blocks)

    def __getitem__(self, index: int) -> T:
        """Returns the item at an index, from the end for a negative one; raises `IndexError` if there is none."""
        if index == 0 and self._blocks:
            return self._blocks[0][0]
        place, within = self._place(index + len(self) if index < 0 else index)
        return self._blocks[place][within]

    def __eq__(self, other: object) -> bool:
        """Returns True if both hold equal items."""
        if not isinstance(other, Ordered):
            return NotImplemented
        return len(self) == len(other) and all(map(_equal, self, other))

    def __hash__(self) -> int:
        """Returns the hash of the items."""
        return hash(tuple(self))

    def __repr__(self) -> str:
        """Returns the items as text."""
        return f"Ordered({list(self)})"

    def find(self, key: Any) -> T | None:
        """Returns the item with a key, or None."""
        place, within = self._lowest(key)
        return self._blocks[place][within] if self._stands(place, within, key) else None

    def add(self, item: T) -> Ordered[T]:
        """Returns the sequence with one more item.

        Raises:
            ValueError: if another item has its key.
        """
        key = self._key(item)
        place, within = self._lowest(key)
        if self._stands(place, within, key):
            raise ValueError(f"an item has the key {key} already")
        if place == len(self._blocks) and place > 0:
            place, within = place - 1, len(self._blocks[-1])
        block = self._blocks[place] if self._blocks else ()
        grown = (*block[:within], item, *block[within:])
        middle = len(grown) // 2
        return self._with(place, place + 1, (grown,) if len(grown) <= _BLOCK else (grown[:middle], grown[middle:]))

    def remove(self, index: int) -> Ordered[T]:
        """Returns the sequence without the item at an index; raises `IndexError` unless it is in `[0, len)`."""
        return self._remove(*self._place(index))

    def discard(self, key: Any) -> Ordered[T]:
        """Returns the sequence without the item with a key; raises `KeyError` if there is none."""
        place, within = self._lowest(key)
        if not self._stands(place, within, key):
            raise KeyError(key)
        return self._remove(place, within)

    def without(self, other: Ordered[T]) -> Iterator[T]:
        """Yields the items whose keys the other lacks, fast if the two share blocks."""
        mine, theirs = (set(map(id, sequence._blocks)) for sequence in (self, other))
        kept = {other._key(item) for block in other._blocks if id(block) not in mine for item in block}
        for block in self._blocks:
            if id(block) not in theirs:
                yield from (item for item in block if self._key(item) not in kept)

    def _place(self, index: int) -> tuple[int, int]:
        """Returns the block of an index, and the index within it."""
        if not 0 <= index < self._length:
            raise IndexError(f"index is {index}, but there are {self._length} items")
        if self._ends is None:  # Computed on demand, since most sequences are never indexed.
            self._ends = tuple(itertools.accumulate(map(len, self._blocks)))
        place = bisect.bisect_right(self._ends, index)
        return place, index - (self._ends[place] - len(self._blocks[place]))

    def _stands(self, place: int, within: int, key: Any) -> bool:
        """Returns True if the item that `_lowest` found for a key has that very key."""
        return place < len(self._blocks) and bool(self._key(self._blocks[place][within]) == key)

    def _lowest(self, key: Any) -> tuple[int, int]:
        """Returns the block and the index in it of the first item not below a key; past the last block if none."""
        place = bisect.bisect_left(self._blocks, key, key=lambda block: self._key(block[-1]))
        if place == len(self._blocks):
            return place, 0
        return place, bisect.bisect_left(self._blocks[place], key, key=self._key)

    def _remove(self, place: int, within: int) -> Ordered[T]:
        block = self._blocks[place]
        left = block[:within] + block[within + 1 :]
        before, after = self._blocks[max(0, place - 1) : place], self._blocks[place + 1 : place + 2]
        for start, neighbours in ((place, (left, *after)), (place - 1, (*before, left))):
            if len(neighbours) == 2 and sum(map(len, neighbours)) < _BLOCK // 2:
                return self._with(start, start + 2, (neighbours[0] + neighbours[1],))
        return self._with(place, place + 1, (left,) if left else ())

    def _with(self, start: int, stop: int, blocks: tuple[tuple[T, ...], ...]) -> Ordered[T]:
        """Returns the sequence with the blocks from `start` up to `stop` replaced."""
        changed: Ordered[T] = object.__new__(Ordered)
        changed._key = self._key
        changed._blocks = self._blocks[:start] + blocks + self._blocks[stop:]
        changed._length = self._length + sum(map(len, blocks)) - sum(map(len, self._blocks[start:stop]))
        changed._ends = None
        return changed


def _equal(one: object, other: object) -> bool:
    return one is other or one == other
