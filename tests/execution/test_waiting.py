"""What a run says at its start of how long its lanes will wait."""

import pytest

from jaxevo.execution.waiting import BIRTHS_A_LANE, expected_idle_share

LANES = (1, 2, 3, 10, 40, 62, 250, 700, 1_000, 5_000, 20_000)


@pytest.mark.parametrize("lanes", LANES)
def test_more_births_in_flight_leave_lanes_waiting_less(lanes):
    shares = [expected_idle_share(workers, lanes) for workers in range(1, 10 * lanes, max(1, lanes // 4))]
    assert shares == sorted(shares, reverse=True)
    assert all(0 <= share < 1 for share in shares)
    assert shares[-1] < 0.02


def test_more_lanes_wait_longer_with_one_birth_each():
    shares = [expected_idle_share(lanes, lanes) for lanes in LANES]
    assert shares == sorted(shares)


@pytest.mark.parametrize("lanes", [1, 2, 10, 62, 250])
def test_with_four_births_in_flight_a_lane_lanes_hardly_wait(lanes):
    assert expected_idle_share(BIRTHS_A_LANE * lanes, lanes) < 0.02


def test_lanes_beyond_the_births_in_flight_have_nothing_to_train():
    assert expected_idle_share(1, 1) == 0
    assert expected_idle_share(1, 2) >= 0.5
    assert expected_idle_share(10, 1_000) >= 0.99
