"""Learning rates within a training."""

import numpy as np
import optax
import pytest

from jaxevo.networks.schedules import learning_rates
from jaxevo.settings import ScheduleName

ALL = ScheduleName.__args__


@pytest.mark.parametrize("schedule", ALL)
@pytest.mark.parametrize("steps", [1, 2, 3, 10, 400])
def test_every_step_has_a_finite_rate_of_float32_up_to_the_peak(schedule, steps):
    rates = learning_rates(schedule, 0.3, steps)
    assert rates.shape == (steps,)
    assert rates.dtype == np.float32
    assert (rates > 0).all()
    assert rates.max() <= np.float32(0.3)


@pytest.mark.parametrize("schedule", ALL)
def test_rates_scale_with_the_peak(schedule):
    np.testing.assert_allclose(learning_rates(schedule, 0.4, 50), 4 * learning_rates(schedule, 0.1, 50), rtol=1e-6)


def test_constant_rates_are_the_peak_to_the_bit():
    assert (learning_rates("constant", 0.1, 300) == np.float32(0.1)).all()


def test_a_cosine_warms_up_over_a_twentieth_and_falls_towards_0_as_optax_does():
    rates = learning_rates("cosine", 0.2, 100)
    assert rates.argmax() == 5
    assert (np.diff(rates[:6]) > 0).all()
    wanted = [optax.cosine_decay_schedule(0.2, 95)(step) for step in range(95)]
    np.testing.assert_allclose(rates[5:], wanted, rtol=1e-4, atol=1e-7)


def test_one_cycle_rises_over_three_tenths_from_a_twenty_fifth_and_falls_towards_0():
    rates = learning_rates("one_cycle", 1.0, 100)
    assert rates.argmax() == 30
    assert rates[0] == pytest.approx(0.04 + 0.96 / 31)
    assert (np.diff(rates[30:]) < 0).all()
    assert rates[-1] < 0.01


@pytest.mark.parametrize("schedule", ALL)
def test_a_peak_that_float32_cannot_hold_is_infinite_so_that_the_training_fails(schedule):
    assert np.isinf(learning_rates(schedule, 1e39, 20)).any()
