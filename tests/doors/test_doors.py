"""Doors: what a user brings is found by name, module or file, recorded, and never run unasked."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from helpers import ladder_space
from helpers.tiny_runs import jaxevo as run_command
from helpers.tiny_runs import rewrite_journal, rewrite_manifest, without_stop

import jaxevo
from jaxevo.doors.opening import built_in, check_named, open_new
from jaxevo.doors.source import door_text
from jaxevo.doors.spec import Spec, spec_from
from jaxevo.settings import Settings

SOURCE = Path(ladder_space.__file__)
SMALL = {"preset": "paper", "population_size": 6, "mutations": "steps"}


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A file of a user whose code leaves a mark when it runs; no other test has the same source."""
    monkeypatch.setenv("JAXEVO_MARK", str(tmp_path / "mark"))
    path = tmp_path / "ladder.py"
    path.write_text(f"{SOURCE.read_text()}\n# {tmp_path}\n")
    return path


@pytest.fixture
def run(source, tmp_path):
    doors = {"space": f"{source}:Ladder,height=30", "fitness": f"{source}:frugal"}
    return jaxevo.evolve(tmp_path / "run", max_individuals=20, **{**SMALL, **doors})


@pytest.fixture
def unmarked(run, tmp_path):
    """The run, and a process in which its code has not run."""
    (tmp_path / "mark").unlink()
    for name in [name for name in sys.modules if name.startswith("jaxevo_door_")]:
        del sys.modules[name]
    return run


# Names.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("accuracy", Spec("accuracy")),
        ("accuracy,flops=1e-9", Spec("accuracy", {"flops": 1e-9})),
        ("a.b:C, size = 3 ,fast=true", Spec("a.b:C", {"size": 3, "fast": True})),
        ("folder/mine.py:Mine,name=x", Spec("folder/mine.py:Mine", {"name": "x"})),
    ],
)
def test_a_text_is_a_name_with_parameters(text, expected):
    assert spec_from("fitness", text) == expected


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"space": "unknown"}, "space is 'unknown', but must be large_scale"),
        ({"mutations": "unknown"}, "mutations is 'unknown', but must be paper or growth"),
        ({"selection": "aging,sample_size=0"}, "selection is 'aging,sample_size=0', but sample_size is 0"),
        ({"selection": "aging,sample_size=2.5"}, "sample_size is 2.5, but must be a whole number"),
        ({"selection": "pareto,sample_size=true"}, "sample_size is True, but must be a whole number"),
        ({"selection": "pareto,cost=flop"}, "unexpected keyword argument 'cost'"),
        ({"fitness": "accuracy,price=1"}, "fitness is 'accuracy,price=1', but .*price"),
        ({"fitness": "nowhere.py:mine"}, r"nowhere.py cannot be read \(No such file"),
        ({"fitness": "no_module_of_this_name:mine"}, "there is no module no_module_of_this_name"),
        ({"fitness": f"{SOURCE}:best"}, "has no function or class 'best': it has Ladder, steps, leaps"),
        ({"space": f"{SOURCE}:Ladder"}, "mutations is 'paper', but must be steps"),
        ({"space": f"{SOURCE}:frugal", "mutations": "steps"}, "must return a jaxevo.search.space.SearchSpace"),
        ({"space": f"{SOURCE}:Ladder,width=1", "mutations": "steps"}, "but .*unexpected keyword argument 'width'"),
        ({"space": f"{SOURCE}:Ladder", "mutations": "steps,up=0"}, None),
    ],
)
def test_what_cannot_be_opened_is_refused_by_a_sentence(changes, sentence):
    if sentence is None:
        open_new(Settings(**changes))
        return
    with pytest.raises(ValueError, match=sentence):
        open_new(Settings(**changes))


ODD_PARTS = """
from jaxevo.search.space import Mutation

A, B = (Mutation(name, lambda generator, genotype, task: genotype) for name in "ab")

def alone(space):
    return A

def weighted(space, odds):
    return A, B._replace(weight=float(odds))

def pair():
    return lambda generator, living: 0, lambda generator, living: 0

def nothing(*_):
    return None

def lazy(space):
    return (one for one in (A, B))
"""


@pytest.mark.parametrize(
    ("kind", "what", "sentence"),
    [
        ("mutations", "alone", "must return a sequence of jaxevo.search.space.Mutation"),
        ("mutations", "nothing", "must return a sequence of jaxevo.search.space.Mutation"),
        ("mutations", "weighted,odds=-1.5", r"the weight of b is -1.5: it must be 0 or more"),
        ("mutations", "weighted,odds=nan", "the weight of b is nan"),
        ("selection", "pair", "must return a jaxevo.search.selection.Selection"),
        ("fitness", "nothing", "must return a jaxevo.search.fitness.Fitness"),
    ],
)
def test_what_a_door_returns_is_checked(kind, what, sentence, tmp_path):
    (tmp_path / "odd.py").write_text(ODD_PARTS)
    with pytest.raises(ValueError, match=f"^{kind} is .*, but .*{sentence}"):
        open_new(Settings(**{kind: f"{tmp_path / 'odd.py'}:{what}"}))


def test_mutations_may_come_one_by_one(tmp_path):
    (tmp_path / "odd.py").write_text(ODD_PARTS)
    opened = open_new(Settings(mutations=f"{tmp_path / 'odd.py'}:lazy"))
    assert [mutation.name for mutation in opened.doors.mutations] == ["a", "b"]


def test_built_in_parts_need_nothing_from_outside():
    assert open_new(Settings()).records == ()
    with pytest.raises(ValueError, match="which is not built in"):
        built_in(Settings(fitness=f"{SOURCE}:frugal"))


def test_every_kind_can_be_brought_as_a_module_or_a_file():
    doors = open_new(
        Settings(
            space=f"{SOURCE}:Ladder",
            mutations="helpers.ladder_space:leaps,by=3",
            selection="helpers.ladder_space:first_and_last",
            fitness=f"{SOURCE}:frugal,price=0.5",
        )
    )
    assert [mutation.name for mutation in doors.doors.mutations] == ["UP", "DOWN", "LEAP"]
    assert [record.kind for record in doors.records] == ["space", "mutations", "selection", "fitness"]
    assert [record.version for record in doors.records] == ["3", "", "", ""]
    assert len({record.sha256 for record in doors.records}) == len(doors.files) == 1
    assert doors.records[1].parameters == {"by": 3}


def test_a_door_of_python_is_named_by_its_module():
    assert door_text("fitness", ladder_space.frugal) == "helpers.ladder_space:frugal"
    for given in (3, lambda: None):
        with pytest.raises(ValueError, match="fitness is .*, but must be a function or class at the top of a module"):
            door_text("fitness", given)


# A run with doors.


def test_the_manifest_records_doors_and_the_folder_keeps_files(run, source):
    manifest = json.loads((run.path / "manifest.json").read_text())
    space, fitness = manifest["doors"]
    assert (space["kind"], space["name"], space["version"]) == ("space", f"{source}:Ladder", "3")
    assert space["parameters"] == {"height": 30}
    assert fitness["sha256"] == space["sha256"]
    assert (run.path / "doors" / f"{space['sha256']}.py").read_bytes() == source.read_bytes()


def test_history_has_the_columns_of_the_space_and_accuracy_beside_fitness(run):
    history = run.history
    assert (history["fitness"] == history["validation_accuracy"] - 0.01 * history["rung"]).all()
    assert run.best.individual.fitness == history["fitness"].max()


def test_a_run_goes_on_from_its_own_copy(unmarked, source):
    run = unmarked
    source.unlink()
    longer = jaxevo.open(run.path, trust_code=True).resume(max_individuals=40)
    assert longer.events == 40
    assert jaxevo.open(run.path, max_events=20).fingerprint == run.fingerprint
    assert jaxevo.verify(run.path, trust_code=True, retrain="best") == []


def test_the_same_run_from_python_objects_and_in_a_child_process(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    arguments = {**SMALL, "space": ladder_space.Ladder, "fitness": ladder_space.frugal}
    one = jaxevo.evolve(tmp_path / "one", max_individuals=12, **arguments)
    flags = ["--space", "helpers.ladder_space:Ladder", "--fitness", "helpers.ladder_space:frugal"]
    flags += ["--preset", "paper", "--population-size", 6, "--mutations", "steps", "--max-individuals", 12]
    assert run_command("run", "--workdir", tmp_path / "two", *flags).returncode == 0
    assert jaxevo.open(tmp_path / "two").fingerprint == one.fingerprint


# Opening somebody's run.


def test_reading_a_run_executes_nothing_of_its_folder(unmarked, tmp_path, capsys):
    run = unmarked
    again = jaxevo.open(run.path)
    assert again.fingerprint == run.fingerprint
    assert again.best.describe() == f"ladder    rung {run.best.individual.genotype}".ljust(42)
    assert again.history.drop(columns="genotype").equals(run.history.drop(columns="genotype"))
    assert [one.id for one in again.population] == [one.id for one in run.population]
    again.report(tmp_path / "page.html", phylogeny=tmp_path / "descent.csv")
    for command in ("show", "report"):
        assert jaxevo_main(command, run.path) == 0
    assert jaxevo.verify(run.path) == []
    assert "decisions were not recomputed" in capsys.readouterr().out
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    "run_it",
    [
        lambda run, tmp_path: run.resume(max_individuals=50),
        lambda run, tmp_path: run.replay(tmp_path / "replay"),
        lambda run, tmp_path: run.verify(retrain="best"),
        lambda run, tmp_path: run.best.module,
    ],
)
def test_what_must_run_the_code_asks_first(unmarked, tmp_path, run_it):
    with pytest.raises(ValueError, match=r"code from outside \(space .*ladder.py:Ladder, fitness .*--trust-code"):
        run_it(jaxevo.open(unmarked.path), tmp_path)
    assert not (tmp_path / "mark").exists()


def test_the_commands_ask_first_and_run_it_if_told_to(unmarked, tmp_path, capsys):
    path = unmarked.path
    for command in (["resume", path, "--max-individuals", 25], ["replay", path, "--workdir", tmp_path / "replay"]):
        assert jaxevo_main(*command) == 2
        assert "--trust-code" in capsys.readouterr().err
    assert not (tmp_path / "mark").exists()
    assert jaxevo_main("replay", path, "--workdir", tmp_path / "replay", "--trust-code") == 0
    assert (tmp_path / "mark").exists()


def test_a_replay_of_other_outcomes_ends_and_says_that_it_differs(unmarked, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("JAXEVO_SHIFT", "0.013")
    assert jaxevo_main("replay", unmarked.path, "--workdir", tmp_path / "replay", "--trust-code") == 1
    assert f"The replay differs from {unmarked.path}" in capsys.readouterr().out
    assert jaxevo.open(tmp_path / "replay", trust_code=True).events == 20


def test_a_replay_of_a_killed_run_is_compared_with_all_that_it_told(unmarked, tmp_path, capsys):
    def without_last_told(lines):
        del lines[max(place for place, line in enumerate(lines) if line["kind"] == "told")]

    without_stop(unmarked.path)
    rewrite_journal(unmarked.path, without_last_told)
    (unmarked.path / "result.json").unlink()
    assert jaxevo.open(unmarked.path).events == 19
    assert jaxevo_main("replay", unmarked.path, "--workdir", tmp_path / "replay", "--trust-code") == 0
    assert "The replay has the fingerprint" in capsys.readouterr().out


def test_naming_the_doors_again_compares_their_source(unmarked, source, tmp_path):
    names = f"{source}:Ladder {source}:frugal"
    run = jaxevo.open(unmarked.path)
    with pytest.raises(ValueError, match="fitness .*which does not run unasked"):
        run.resume(max_individuals=30, trust_doors=f"{source}:Ladder")
    assert not (tmp_path / "mark").exists()
    assert run.resume(max_individuals=30, trust_doors=names).events == 30
    source.write_text(source.read_text() + "# Another version.\n")
    with pytest.raises(ValueError, match="space .*ladder.py:Ladder differs from what the run began with"):
        jaxevo.open(unmarked.path, trust_doors=names)


def test_doors_in_two_files_of_one_name_are_compared_with_their_own(tmp_path):
    for folder, added in (("one", ""), ("two", "# Another source.\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(SOURCE.read_text() + added)
    doors = {"space": f"{tmp_path}/one/mine.py:Ladder", "mutations": f"{tmp_path}/two/mine.py:leaps"}
    fitness = f"{tmp_path}/one/mine.py:frugal"
    records = open_new(Settings(**doors, fitness=fitness)).records
    check_named(records, (*doors.values(), fitness))
    same = {"fitness": fitness, "selection": f"{tmp_path}/two/mine.py:frugal"}
    given = open_new(Settings(fitness=fitness)).records
    check_named(given, tuple(same.values()))
    with pytest.raises(ValueError, match="fitness .*one/mine.py:frugal differs from what the run began with"):
        check_named(given, (same["selection"],))


def test_an_altered_copy_is_refused_before_it_runs(unmarked, tmp_path):
    (copy,) = (unmarked.path / "doors").iterdir()
    copy.write_text(copy.read_text() + "# Altered.\n")
    for trust in (False, True):
        with pytest.raises(ValueError, match="was altered: restore it from a copy"):
            jaxevo.open(unmarked.path, trust_code=trust)
    assert not (tmp_path / "mark").exists()


def altered_genotype(lines):
    next(line for line in lines if line["kind"] == "description" and line["id"] == 8)["birth"]["genotype"]["rung"] += 1


def altered_fitness(lines):
    next(line for line in lines if line["kind"] == "told" and line["event"] == 5)["fitness"] += 0.5


def altered_accuracy(lines):
    next(line for line in lines if line["kind"] == "record")["outcome"]["weights_sha256"] = "other"


def altered_death(lines):
    next(line for line in lines if line["kind"] == "told" and line["dead"])["dead"] = []


@pytest.mark.parametrize("change", [altered_genotype, altered_fitness, altered_accuracy, altered_death])
def test_a_journal_whose_hashes_disagree_is_refused_without_running_anything(unmarked, tmp_path, change):
    rewrite_journal(unmarked.path, change)
    with pytest.raises(ValueError, match="journal"):
        jaxevo.open(unmarked.path)
    assert not (tmp_path / "mark").exists()


def test_a_drawing_that_was_made_up_is_found_by_recomputing(unmarked):
    def change(lines):
        next(line for line in lines if line["kind"] == "description")["drawing"][2] = "made up"

    rewrite_journal(unmarked.path, change)
    assert jaxevo.verify(unmarked.path) == []
    assert jaxevo.verify(unmarked.path, trust_code=True) == [
        "journal: individual 0 is not described as its search space does"
    ]


def test_a_module_that_has_changed_is_refused(tmp_path, monkeypatch):
    module = tmp_path / "my_ladder_module.py"
    module.write_text(SOURCE.read_text())
    monkeypatch.syspath_prepend(tmp_path)
    run = jaxevo.evolve(tmp_path / "run", max_individuals=8, space="my_ladder_module:Ladder", **SMALL)
    rewrite_manifest(run.path, lambda fields: fields["doors"][0].update(sha256="0" * 64))
    with pytest.raises(ValueError, match="space my_ladder_module:Ladder differs from what the run began with"):
        jaxevo.open(run.path, trust_code=True)
    shutil.rmtree(run.path)


def jaxevo_main(*arguments):
    from jaxevo.cli.main import main

    return main([str(argument) for argument in arguments])
