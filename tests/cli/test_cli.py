"""The command line as a user meets it: flags from the settings, presets, clear errors, what each command prints."""

import dataclasses
import json
import subprocess
from pathlib import Path

import pytest
from helpers.tiny_runs import TINY, command, jaxevo, run_arguments, start

import jaxevo as package
from jaxevo import api
from jaxevo.cli.main import main
from jaxevo.cli.parse import parse
from jaxevo.presets import PRESETS
from jaxevo.reports.result import write_result
from jaxevo.session.progress import Watcher
from jaxevo.session.run import start_run
from jaxevo.settings import Execution, Limits, Settings


@pytest.fixture(scope="module")
def run_path(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "run"
    start(path, 12)
    return path


def test_scripts_can_rely_on_these_flags():
    flags = {
        "dataset": "fashion_mini",
        "workdir": "w",
        "seed": 7,
        "population-size": 20,
        "num-workers": 5,
        "max-individuals": 9,
        "max-seconds": 8,
        "train-steps": 11,
        "batch-size": 12,
        "selection": "random",
        "inheritance": "none",
        "lanes": 3,
        "devices-per-lane": 4,
        "preset": "small",
    }
    given = parse(["run", *(text for name, value in flags.items() for text in (f"--{name}", str(value)))])
    expected = dataclasses.replace(
        PRESETS["small"][0],
        dataset="fashion_mini",
        seed=7,
        population_size=20,
        num_workers=5,
        train_steps=11,
        batch_size=12,
        selection="random",
        inheritance="none",
    )
    assert given.settings == expected
    assert given.limits == Limits(max_individuals=9, max_seconds=8.0, finish_share=PRESETS["small"][1].finish_share)
    assert (given.workdir, given.execution, given.preset) == ("w", Execution(3, 4), "small")


@pytest.mark.parametrize("budget", ["max-individuals", "max-flops", "max-seconds"])
def test_a_budget_takes_the_place_of_the_presets_and_other_limits_do_not(budget):
    share = PRESETS["demo"][1].finish_share
    assert parse(["run", f"--{budget}", "9"]).limits == Limits(finish_share=share, **{budget.replace("-", "_"): 9})
    unset = parse(["run", f"--{budget}", "none"]).limits
    assert unset == dataclasses.replace(PRESETS["demo"][1], **{budget.replace("-", "_"): None})
    also = parse(["run", "--target-accuracy", "0.9", "--finish-share", "0.1"]).limits
    assert also == dataclasses.replace(PRESETS["demo"][1], target_accuracy=0.9, finish_share=0.1)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("form", ["--preset {}", "--preset={}"])
def test_a_preset_gives_the_defaults(preset, form):
    given = parse(["run", *form.format(preset).split()])
    assert (given.settings, given.limits) == PRESETS[preset]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "--population-size", "1"], "--population-size is 1, but must be 2 or more"),
        (["run", "--dataset", "cifra10"], "Did you mean 'cifar10'"),
        (["run", "--workdir", "gs://bucket/run"], "must be a folder of a POSIX file system"),
        (["run", "--max-individuals", "0"], "--max-individuals is 0, but must be"),
        (["run", "--population-size", "6", "--num-workers", "4"], "--num-workers is 4, but must be 1 to 3, half the"),
        (["run", "--dataset", "~nobody-here/images.npz"], "begins with the home of an unknown user"),
        (["run", "--dataset", __file__], "is not an .npz file"),
        (["run", "--from-run", "nowhere"], "holds no run"),
        (["run", "--from-genotype", "nowhere"], "--from-genotype is nowhere, which cannot be read"),
        (["run", "--from-run", "a", "--from-genotype", "b"], "--from-genotype is b, but must be left out beside"),
        (["resume", "nowhere"], "holds no run"),
        (["show", "nowhere"], "holds no run"),
        (["test", "nowhere"], "holds no run"),
        (["export", "nowhere", "folder"], "holds no run"),
    ],
)
def test_a_users_error_is_one_sentence_and_status_2(capsys, tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("jaxevo: error: ")
    assert sentence in error
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


def test_help_needs_no_jax():
    script = "import sys, jaxevo.cli.main; jaxevo.cli.main.parse(['run']); assert 'jax' not in sys.modules"
    subprocess.run([command()[0], "-c", script], check=True, timeout=60)


def test_show_prints_network_lineage_and_population(run_path, capsys):
    assert main(["show", str(run_path)]) == 0
    text = capsys.readouterr().out
    run = package.open(run_path)
    assert run.best.describe() in text
    lineage, population = text.split("lineage, the first ancestor first")[1].split("population after 12 events")
    steps = [one.mutation or "(initial)" for one in run.lineage(run.best.individual.id)]
    told = [line.split("│")[2].strip() for line in lineage.splitlines() if line.startswith("│")]
    assert told == steps
    assert len(population.split("\n")) > len(run.population)
    for individual in run.population:
        assert f" {individual.id} " in text
    assert run.fingerprint in text


def test_show_prints_the_front_of_accuracy_and_cost(run_path, capsys):
    assert main(["show", str(run_path)]) == 0
    table = capsys.readouterr().out.split("front of fitness and FLOPs per image")[1]
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in table.splitlines() if line.startswith("│")]
    run = package.open(run_path)
    kept = {one.id for one in (*run.population, run.best.individual)}
    assert cells == [
        [
            str(one.id),
            f"{one.cost.parameters:,}",
            f"{one.cost.forward_flops:,}",
            f"{one.accuracy:.1%}",
            f"{run.test_accuracy(one.id):.1%}",
            "kept" if one.id in kept else "removed",
        ]
        for one in run.front
    ]


def test_show_says_of_whom_the_weights_were_kept(tmp_path, capsys):
    path = tmp_path / "run"
    start_run(path, Settings(**TINY), Limits(max_individuals=14), Execution(2, keep="all"), Watcher())
    assert main(["show", str(path)]) == 0
    table = capsys.readouterr().out.split("front of fitness and FLOPs per image")[1]
    assert "kept" in table
    assert "removed" not in table


def test_members_without_an_ensemble_are_refused(run_path, tmp_path, capsys):
    assert main(["export", str(run_path), str(tmp_path / "network"), "--ensemble-size", "3"]) == 2
    assert "--ensemble-size is given without --ensemble" in capsys.readouterr().err
    assert not (tmp_path / "network").exists()


def test_show_of_one_individual_and_of_none(run_path, capsys):
    run = package.open(run_path)
    child = next(one for one in run.population if one.parent_id is not None)
    assert main(["show", str(run_path), str(child.id)]) == 0
    text = capsys.readouterr().out
    assert f"individual {child.id}, child of {child.parent_id} by {child.mutation}, told at event {child.event}" in text
    assert f"validation accuracy {child.fitness:.2%}, test accuracy {run.test_accuracy(child.id):.1%}" in text
    assert run.network(child).describe() in text
    assert "population" not in text
    assert main(["show", str(run_path), "999"]) == 2
    assert "individual is 999, but the run has 12 finished ones" in capsys.readouterr().err


def test_show_prints_json_for_machines(run_path, capsys):
    run = package.open(run_path)
    assert main(["show", str(run_path), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["individuals"], shown["fingerprint"]) == (12, run.fingerprint)
    assert shown["settings"] == dataclasses.asdict(run.settings)
    assert [one["id"] for one in shown["population"]] == [one.id for one in run.population]
    assert shown["front"] == [one.id for one in run.front]
    best = shown["best"]
    assert (best["id"], best["validation_accuracy"]) == (run.best.individual.id, run.best.validation_accuracy)
    assert best["lineage"] == [one.id for one in run.lineage(best["id"])]
    assert main(["show", str(run_path), str(best["id"]), "--json"]) == 0
    alone = json.loads(capsys.readouterr().out)
    assert alone == best
    assert [box["title"] for box in alone["network"]["boxes"]] == [box.title for box in run.best.drawing.boxes]


def test_show_draws_a_network(run_path, tmp_path, capsys):
    file = tmp_path / "network.svg"
    assert main(["show", str(run_path), "0", "--svg", str(file)]) == 0
    assert f"network drawn: {file}" in capsys.readouterr().out
    assert file.read_text().startswith("<?xml")
    assert "individual 0, validation " in file.read_text()
    assert main(["show", str(run_path), "--json", "--svg", str(file)]) == 0
    assert json.loads(capsys.readouterr().out)["individuals"] == 12
    assert main(["show", str(run_path), "--svg", str(tmp_path / "nowhere" / "a.svg")]) == 2
    assert "--svg is " in capsys.readouterr().err


def test_what_nobody_reads_any_more_is_not_written(run_path):
    shown = subprocess.Popen(command("show", run_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    shown.stdout.close()
    errors = shown.stderr.read()
    shown.stderr.close()
    assert (shown.wait(60), errors) == (0, "")


def test_a_population_has_a_quarter_of_it_as_workers_unless_the_preset_says_how_many():
    assert parse(["run", "--preset", "paper", "--population-size", "40"]).settings.virtual_workers == 10
    assert parse(["run", "--population-size", "40"]).settings.virtual_workers == PRESETS["demo"][0].num_workers


def test_test_gives_the_accuracy_that_was_journalled(run_path, capsys):
    assert main(["test", str(run_path), "--ensemble-size", "3"]) == 0
    text = capsys.readouterr().out
    run = package.open(run_path)
    assert (
        f"individual {run.best.individual.id}, the best by validation, evolved weights: "
        f"test accuracy {run.best.test_accuracy:.2%}" in text
    )
    assert "majority vote of the 3 best, evolved weights: test accuracy" in text


def test_test_names_as_many_members_as_there_are(run_path, capsys):
    assert main(["test", str(run_path), "--ensemble-size", "100"]) == 0
    run = package.open(run_path)
    candidates = {one.id for one in (*run.population, run.best.individual) if one.weights is not None}
    assert f"majority vote of the {len(candidates)} best" in capsys.readouterr().out


def test_of_the_dead_nothing_can_be_exported(run_path, tmp_path, capsys):
    run = package.open(run_path)
    kept = {one.id for one in (*run.population, run.best.individual)}
    dead = next(number for number in run.history["id"] if number not in kept)
    assert main(["export", str(run_path), str(tmp_path / "network"), "--individual", str(dead)]) == 2
    error = capsys.readouterr().err
    assert f"individual {dead} is dead" in error
    assert "missing" not in error
    assert list(tmp_path.iterdir()) == []


def test_export_writes_the_best_and_refuses_a_folder_in_use(run_path, tmp_path, capsys):
    folder = tmp_path / "network"
    assert main(["export", str(run_path), str(folder)]) == 0
    assert (folder / "network.py").exists()
    assert (folder / "network.stablehlo").exists()
    assert f"{package.open(run_path).best.test_accuracy:.2%}" in (folder / "README.md").read_text()
    assert main(["export", str(run_path), str(folder)]) == 2


def test_a_run_begins_with_an_earlier_one_and_show_says_so(run_path, tmp_path, capsys):
    path = tmp_path / "warm"
    assert main([*run_arguments(path, 2), "--from-run", str(run_path)]) == 0
    capsys.readouterr()
    assert main(["show", str(path)]) == 0
    living = len(package.open(run_path).population)
    assert (
        f"initial individuals: the {living} fittest of run after 12 events, with their weights"
        in capsys.readouterr().out
    )


@pytest.mark.slow
def test_run_and_resume_print_plain_lines_and_a_summary(tmp_path):
    path = tmp_path / "run"
    ended = jaxevo(*run_arguments(path, 6))
    assert ended.returncode == 0, ended.stderr
    result = json.loads((path / "result.json").read_text())
    assert result["fingerprint"] in ended.stdout
    assert f"See what evolved: jaxevo show {path}\n" in ended.stdout
    assert f"Extend the run:   jaxevo resume {path} --max-individuals 12\n" in ended.stdout
    assert "/6 individuals, " in ended.stdout
    assert ended.stdout.startswith(f"starting JAX, reading digits\nevolving digits with seed 3 in {path}\n")
    assert "layers 0, convolutions 0, skips 0, initial" in ended.stdout
    assert "\x1b" not in ended.stdout
    extended = jaxevo("resume", path, "--max-individuals", 9)
    assert extended.returncode == 0, extended.stderr
    assert json.loads((path / "result.json").read_text())["individuals"] == 9


def test_a_run_without_a_folder_gets_a_new_one_each_time(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = [text for text in run_arguments(Path("x"), 3) if text not in ("--workdir", "x")]
    assert main(arguments) == 0
    assert main(arguments) == 0
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [
        f"digits-seed{TINY['seed']}",
        f"digits-seed{TINY['seed']}-2",
    ]
    assert "runs/digits-seed3-2" in capsys.readouterr().out


def test_resume_of_a_finished_run_says_so_without_jax(tmp_path):
    path = tmp_path / "run"
    start(path, 4)
    write_result(path)
    before = (path / "journal.jsonl").read_bytes()
    script = (
        "import sys; from jaxevo.cli.main import main; status = main(sys.argv[1:]); "
        "assert 'jax' not in sys.modules; sys.exit(status)"
    )
    done = subprocess.run(
        [command()[0], "-c", script, "resume", str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    first, *rest = done.stdout.splitlines()
    assert first == f"{path} is finished: it reached max_individuals, and nothing is left to train"
    assert rest[-1] == f"Extend the run:   jaxevo resume {path} --max-individuals 8"
    assert (path / "journal.jsonl").read_bytes() == before


def test_the_first_line_comes_before_jax_and_announces_nothing_unchecked(tmp_path, monkeypatch, capsys):
    lines = []

    def carry_out(job, on_event):
        lines.append(capsys.readouterr().out)
        raise ValueError("enough")

    monkeypatch.setattr(api, "carry_out", carry_out)
    assert main([*run_arguments(tmp_path / "a", 3)]) == 2
    assert main([*run_arguments(tmp_path / "a", 3, dataset="cifra10")]) == 2
    assert lines == ["starting JAX, reading digits\n", "starting JAX, looking for the data set cifra10\n"]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    assert main([*run_arguments(tmp_path / "full", 3)]) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_without_ray_its_executor_is_refused_with_what_to_install(tmp_path):
    script = "import sys; sys.modules['ray'] = None; from jaxevo.cli.main import main; sys.exit(main(sys.argv[1:]))"
    path = tmp_path / "run"
    arguments = [command()[0], "-c", script, *run_arguments(path, 3, executor="ray")]
    refused = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
    assert refused.returncode == 2
    assert "Ray is not installed: pip install 'jaxevo[ray]'" in refused.stderr
    assert not path.exists()


def test_report_writes_a_page_and_names_it(run_path, tmp_path, capsys):
    file, descent = tmp_path / "page.html", tmp_path / "descent.csv"
    assert main(["report", str(run_path), "-o", str(file), "--no-images", "--phylogeny", str(descent)]) == 0
    assert capsys.readouterr().out == f"wrote {file}\n"
    assert file.read_text().startswith("<!doctype html>")
    assert descent.read_text().startswith("id,ancestor_list,origin_time,destruction_time,")
    assert main(["report", str(run_path), "-o", str(tmp_path / "no" / "page.html"), "--no-images"]) == 2
    assert "page.html cannot be written (No such file or directory): choose another file" in capsys.readouterr().err


def test_report_refuses_what_it_cannot_compare(run_path, tmp_path, capsys):
    assert main(["report"]) == 2
    assert "WORKDIR is missing for jaxevo report: give the folder of a run" in capsys.readouterr().err
    assert main(["report", str(run_path), str(run_path), "-o", str(tmp_path / "page.html")]) == 2
    assert "1 runs are given, but a comparison needs two or more" in capsys.readouterr().err
    assert main(["report", str(run_path), str(tmp_path), "--watch"]) == 2
    assert "watch is given for 2 runs, but is for one run alone" in capsys.readouterr().err


def test_a_run_ends_with_its_report(tmp_path, capsys):
    path = tmp_path / "run"
    assert main([*run_arguments(path, 3), "--report"]) == 0
    assert f"The run as a page:  {path / 'report.html'}" in capsys.readouterr().out
    assert (path / "report.html").exists()
    assert main(["resume", str(path), "--max-individuals", "5"]) == 0
