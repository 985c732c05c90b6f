"""The time in which nothing is trained and something is compiled."""

import jax
import pytest

from jaxevo.bench import ladder
from jaxevo.bench.waiting import Interval, intervals_of, waiting_seconds
from jaxevo.networks.devices import Devices
from jaxevo.networks.programs import MADE
from jaxevo.networks.trainer import Trainer
from jaxevo.spaces.large_scale.genotype import Genotype

WHOLE = Interval(10, 20)


@pytest.mark.parametrize(
    ("trained", "compiled", "seconds"),
    [
        ([], [], 0),
        ([], [(12, 14)], 2),
        ([(10, 20)], [(12, 14)], 0),
        ([(13, 15)], [(12, 14)], 1),
        # Overlapping trainings and compilations count once.
        ([(11, 14), (12, 16)], [(10, 13), (10.5, 17)], 2),
        # Only what lies within the whole counts.
        ([(5, 11)], [(0, 13), (18, 30)], 4),
    ],
)
def test_waiting_is_compiling_while_nothing_is_trained(trained, compiled, seconds):
    found = waiting_seconds(WHOLE, [Interval(*one) for one in trained], [Interval(*one) for one in compiled])
    assert found == pytest.approx(seconds)


def test_every_architecture_is_one_compilation():
    trainer = Trainer(ladder.settings(), ladder.images(), Devices(jax.local_devices()[:1]))
    with intervals_of(MADE) as found:
        programs = trainer.programs(Genotype(0.1))
        trainer.programs(Genotype(0.1))
    [(begin, end)] = found
    assert end - begin == pytest.approx(programs.compile_seconds, abs=1e-3)
