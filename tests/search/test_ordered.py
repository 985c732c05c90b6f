"""The ordered sequence in blocks and the births in flight behave as sorted lists, and never change."""

import bisect
import dataclasses
import operator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxevo.search import ordered
from jaxevo.search.in_flight import InFlight
from jaxevo.search.ordered import Ordered

numbers = st.lists(st.integers(0, 60), unique=True, max_size=40)
changes = st.lists(st.tuples(st.booleans(), st.integers(0, 60)), max_size=80)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of six, so that a few items split and join them."""
    monkeypatch.setattr(ordered, "_BLOCK", 6)


def itself(number):
    return number


def check(sequence, expected):
    assert list(sequence) == expected
    assert len(sequence) == len(expected)
    assert [sequence[index] for index in range(len(expected))] == expected
    assert [sequence[index] for index in range(-len(expected), 0)] == expected
    for index in (len(expected), -len(expected) - 1):
        with pytest.raises(IndexError, match=f"there are {len(expected)} items"):
            sequence[index]
    assert [sequence.find(key) for key in range(61)] == [key if key in expected else None for key in range(61)]
    assert sequence == Ordered(itself, reversed(expected))
    assert hash(sequence) == hash(Ordered(itself, expected))


@settings(deadline=None)
@given(numbers, changes)
def test_it_holds_what_a_sorted_list_holds_whatever_comes_and_goes(start, steps):
    sequence, expected = Ordered(itself, start), sorted(start)
    for adds, number in steps:
        before, copy = sequence, list(sequence)
        if adds and number not in expected:
            bisect.insort(expected, number)
            sequence = sequence.add(number)
        elif not adds and number in expected:
            sequence = sequence.discard(number) if number % 2 else sequence.remove(expected.index(number))
            expected.remove(number)
        assert list(before) == copy
        assert list(before.without(sequence)) == [item for item in copy if item not in expected]
    check(sequence, expected)


@settings(deadline=None)
@given(numbers, numbers)
def test_what_another_lacks_is_told_whether_they_share_blocks_or_not(one, other):
    expected = [number for number in sorted(one) if number not in other]
    assert list(Ordered(itself, one).without(Ordered(itself, other))) == expected


def test_blocks_neither_grow_nor_crumble():
    sequence = Ordered(itself)
    for number in range(600):
        sequence = sequence.add(number)
    assert max(map(len, sequence._blocks)) <= 6
    for number in range(600):
        if number % 20:
            sequence = sequence.discard(number)
    assert list(sequence) == list(range(0, 600, 20))
    assert len(sequence._blocks) <= 2 * len(sequence) / (6 / 2) + 1


def test_unchanged_blocks_are_shared():
    before = Ordered(itself, range(0, 120, 2))
    after = before.add(33).remove(0)
    shared = {id(block) for block in before._blocks} & {id(block) for block in after._blocks}
    assert len(shared) >= len(before._blocks) - 3


def test_a_key_stands_once_and_a_missing_one_cannot_go():
    sequence = Ordered(itself, [1, 2])
    with pytest.raises(ValueError, match="key 2 already"):
        sequence.add(2)
    with pytest.raises(KeyError):
        sequence.discard(3)
    for index in (-1, 2):
        with pytest.raises(IndexError):
            sequence.remove(index)


def test_sequences_of_other_items_differ():
    assert Ordered(itself, [1, 2]) != Ordered(itself, [1, 3])
    assert Ordered(itself, [1, 2]) != Ordered(itself, [1])
    assert Ordered(itself) != ()


# Births in flight.


@dataclasses.dataclass(frozen=True)
class Waiting:
    id: int
    due: float


births = st.lists(
    st.builds(Waiting, st.integers(0, 30), st.sampled_from([0.5, 1.0, 2.5])), unique_by=operator.attrgetter("id")
)


@settings(deadline=None)
@given(births, st.randoms(use_true_random=False))
def test_births_in_flight_stand_by_due_time_and_id_and_are_found_by_id(waiting, random):
    in_flight = InFlight()
    for birth in random.sample(waiting, len(waiting)):
        in_flight = in_flight.add(birth)
    expected = sorted(waiting, key=lambda birth: (birth.due, birth.id))
    assert in_flight == InFlight(waiting)
    assert hash(in_flight) == hash(InFlight(waiting))
    for gone in random.sample(waiting, len(waiting)):
        assert list(in_flight) == expected
        assert len(in_flight) == len(expected)
        assert in_flight[0] is expected[0]
        assert in_flight.find(gone.id) is gone
        in_flight = in_flight.remove(gone)
        expected.remove(gone)
        assert in_flight.find(gone.id) is None
        with pytest.raises(KeyError):
            in_flight.remove(gone)
    assert len(in_flight) == 0
    assert in_flight != ()
