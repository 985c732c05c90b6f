"""The breakdown of a run's time: its parts add up, and its FLOPs are the run's."""

import pytest
from helpers.tiny_runs import TINY

from experiments.benchmarks.apart import in_fresh_process
from experiments.benchmarks.breakdown import Breakdown, measure, report
from experiments.experiment import Experiment
from jaxevo.settings import Limits, Settings

FOUND = Breakdown({"steps": 30.0, "compiling": 20.0, "the rest": 10.0}, 1.2e12, 7, 20.0, 1e12)


def test_every_part_of_a_run_is_measured():
    experiment = Experiment(Settings(**TINY), Limits(max_individuals=7, finish_share=0.5))
    found = in_fresh_process(measure, experiment)
    assert set(found.seconds) == {
        "compiling",
        "steps",
        "validation",
        "test images",
        "inheritance and batches",
        "loading weights",
        "saving weights",
        "the rest",
    }
    assert all(seconds > 0 for seconds in found.seconds.values())
    assert found.individuals == 7
    assert found.finish_flops == pytest.approx(0.5 * found.flops, rel=0.5)


def test_speeds_are_those_of_the_steps_and_of_the_whole_run():
    assert FOUND.share_of_speed == 0.5
    # 2.2 TFLOP in 80 s, against 40 GFLOP/s in steps.
    assert FOUND.share_of_speed_with_finish == pytest.approx(27.5 / 40)
    text = report(FOUND)
    assert text.index("steps") < text.index("compiling") < text.index("the rest")
    assert "| steps | 30.0 | 50.0% |" in text
    assert "40.0 GFLOP/s in steps, 20.0 over the evolution, 50% of that" in text
    assert "50.0 GFLOP/s; with it the run makes 69% of the steps' GFLOP/s" in text
