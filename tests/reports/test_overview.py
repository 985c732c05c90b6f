"""A run at a glance, and whether a resumed one would go on."""

import json

import pytest
from helpers.simulated_runs import simulated_run
from helpers.tiny_runs import rewrite_journal, rewrite_manifest

from jaxevo.reports.overview import limit_reached, read_overview
from jaxevo.reports.run import Run
from jaxevo.settings import Limits


@pytest.fixture
def finished(tmp_path):
    path = simulated_run(tmp_path / "run", 30)
    run = Run(path)
    result = {
        "fingerprint": run.fingerprint,
        "individuals": 30,
        "total_flops": 3_000_000,
        "best_id": run.best.individual.id,
        "best_validation_accuracy": run.best.validation_accuracy,
    }
    (path / "result.json").write_text(json.dumps(result))
    return path


@pytest.mark.parametrize(
    ("changes", "reached"),
    [
        ({}, "max_individuals"),
        ({"max_individuals": 20}, "max_individuals"),
        ({"max_individuals": 31}, None),
        ({"max_seconds": 5.0}, None),
        ({"max_flops": 2e6}, "max_flops"),
        ({"target_accuracy": 1e-9}, "target_accuracy"),
        ({"max_individuals": 30, "finish_share": 0.5}, None),
    ],
)
def test_a_finished_run_goes_on_only_with_limits_that_it_has_not_reached(finished, changes, reached):
    assert limit_reached(finished, Limits(**changes)) == reached


def test_a_run_without_its_result_goes_on(finished):
    (finished / "result.json").unlink()
    assert limit_reached(finished, Limits()) is None
    assert read_overview(finished).state == "stopped (max_individuals, before its result)"
    (finished / "result.json").write_text("{")
    assert limit_reached(finished, Limits()) is None


def test_a_run_that_a_signal_stopped_is_not_finished_even_with_a_result(finished):
    def interrupted(lines):
        assert lines[-1]["kind"] == "stop"
        lines[-1]["reason"] = "interrupted"

    rewrite_journal(finished, interrupted)
    assert read_overview(finished).state == "stopped (interrupted)"


def test_a_finish_that_was_made_is_not_made_again(finished):
    finish = dict.fromkeys(("learning_rate", "steps", "flops", "seconds", "weights", "weights_sha256"))
    finish |= {
        "individual_id": Run(finished).best.individual.id,
        "fingerprint": Run(finished).fingerprint,
        "share": 0.5,
        "test_accuracy": 0.5,
        "machine": json.loads((finished / "manifest.json").read_text())["machine"],
    }
    (finished / "finish").mkdir()
    (finished / "finish" / "finish.json").write_text(json.dumps([finish]))
    assert limit_reached(finished, Limits(max_individuals=30, finish_share=0.5)) == "max_individuals"
    # A longer one stays.
    assert limit_reached(finished, Limits(max_individuals=30, finish_share=0.25)) == "max_individuals"
    assert limit_reached(finished, Limits(max_individuals=30, finish_share=1.0)) is None
    assert limit_reached(finished, Limits(finish_share=1.0)) is None


def test_what_is_listed_is_what_the_run_holds(tmp_path):
    path = simulated_run(tmp_path / "run", 30)
    run, overview = Run(path), read_overview(path)
    assert (overview.dataset, overview.seed, overview.individuals) == ("digits", 5, run.events)
    assert overview.best == run.best.validation_accuracy


def test_a_data_set_is_named_without_its_folder(tmp_path):
    path = simulated_run(tmp_path / "run", 10)
    rewrite_manifest(path, lambda fields: fields["settings"].update(dataset="/home/somebody/photos.npz"))
    assert read_overview(path).dataset == "photos.npz"
