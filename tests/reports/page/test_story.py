"""The data of a page: complete, compact, and without anything private."""

import copy
import dataclasses
import json
import platform
import re
import shlex
import socket
from pathlib import Path

import pytest
from helpers import ladder_space
from helpers.simulated_runs import FAILURE, simulated_run

import jaxevo
from jaxevo.cli.parse import parse
from jaxevo.environment.flags import GPU_DETERMINISTIC
from jaxevo.reports.page.assemble import assemble, write_page
from jaxevo.reports.page.repeat import repeat
from jaxevo.reports.page.story import SCRIPTS, page, story
from jaxevo.storage.history import History
from jaxevo.storage.workdir import Workdir

HOST = "a-host-of-this-name-alone"


@pytest.fixture(scope="module", autouse=True)
def named_host():
    """No word of a page holds this name by chance."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(socket, "gethostname", lambda: HOST)
        patched.setattr(platform, "node", lambda: HOST)
        yield


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return simulated_run(tmp_path_factory.mktemp("story") / "run", 450)


@pytest.fixture(scope="module")
def history(path):
    return History(Workdir(path))


@pytest.fixture(scope="module")
def data(history):
    return json.loads(json.dumps(story(history, None, "left out")))


def test_a_page_is_written_whatever_the_names_of_folders_are(tmp_path):
    write_page(tmp_path / "page.html", "<p>da\udcffta</p>")
    assert (tmp_path / "page.html").read_text() == "<p>da\\udcffta</p>"


def test_a_page_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "page.html").mkdir()
    with pytest.raises(ValueError, match="cannot be written"):
        write_page(tmp_path / "page.html", "<p></p>")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_the_columns_are_those_of_the_history(history, data):
    columns, frame = data["columns"], history.frame()
    assert columns["id"] == frame["id"].tolist()
    assert columns["validation"] == pytest.approx(frame["validation_accuracy"].tolist(), abs=1e-6)
    assert columns["flops"] == frame["flops"].tolist()
    assert [end or None for end in columns["death"]] == frame["death"].astype(object).where(
        frame["death"].notna(), None
    ).tolist()
    parents = [None if place == -1 else columns["id"][place] for place in columns["parent"]]
    assert parents == frame["parent_id"].astype(object).where(frame["parent_id"].notna(), None).tolist()
    assert {data["failures"][place] for place in columns["failure"] if place != -1} == {FAILURE}
    assert columns["id"][data["best"]] == history.best.id
    assert {len(column) for column in (*columns.values(), *data["summary"].values())} == {450}


def test_each_individual_has_its_networks_drawing(history, data):
    space, task = history.space, history.manifest.task
    for place, life in enumerate(history.lives.values()):
        boxes, skips = data["drawings"][data["columns"]["drawing"][place]]
        drawing = space.drawing(life.individual.genotype, task)
        assert [tuple(data["boxes"][box]) for box in boxes] == [
            (box.title, box.detail, list(box.shape), box.label, box.shaded) for box in drawing.boxes
        ]
        backbone = [(upper, upper + 1) for upper in range(len(boxes) - 1)]
        assert sorted([*backbone, *map(tuple, skips)]) == sorted(drawing.edges)


def test_the_page_is_small_and_needs_nothing_from_outside(data):
    html = page(data)
    assert len(html.encode()) < 500_000
    script = re.search("<script>(.*)</script>", html, re.DOTALL)[1]
    assert len(script.encode()) < 100_000
    # Names of XML's vocabularies are no addresses to load from.
    assert set(re.findall(r"https?://[^\s\"']+", html)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"\b(src|href)=\"(?!#)", html)


def test_the_page_holds_no_path_and_no_host(path, data, history):
    html = page(data)
    for private in (str(path), str(path.parent), HOST, "/home/", "/tmp/"):
        assert private not in html


def test_names_cannot_leave_the_data(data):
    evil = "</script><img src=x onerror=alert(1)><!--"
    html = page(data | {"dataset": evil, "failures": [evil, "\u2028"]})
    assert evil not in html
    assert html.count("</script>") == 2
    found = json.loads(re.search('id="data">(.*?)</script>', html, re.DOTALL)[1])
    assert found["failures"] == [evil, "\u2028"]


def test_numbers_that_json_does_not_know_are_text():
    html = assemble("page.html", SCRIPTS, {"one": [float("nan"), float("-inf")]}, "title")
    assert '{"one":["nan","-inf"]}' in html


def test_the_command_makes_the_same_settings_again(history):
    found = repeat(history)
    arguments = shlex.split(found["shell"])
    assert arguments[0] == "jaxevo"
    command = parse(arguments[1:])
    assert command.settings == history.manifest.settings
    assert command.limits.max_individuals == 450
    names: dict = {}
    exec(found["python"].replace("jaxevo.evolve", "dict").replace("import jaxevo", ""), names)
    assert names["run"]["preset"] == command.preset
    assert names["run"]["seed"] == 5


def test_the_command_names_what_the_bits_depend_on(history):
    changed = copy.copy(history)
    machine = dataclasses.replace(history.manifest.machine, platform="gpu", xla_flags=(GPU_DETERMINISTIC,))
    changed.manifest = dataclasses.replace(history.manifest, machine=dataclasses.replace(machine, devices_per_lane=2))
    found = repeat(changed)
    assert parse(shlex.split(found["shell"])[1:]).execution.devices_per_lane == 2
    assert "devices_per_lane=2" in found["python"]
    assert (found["reproducible"], found["fast"]) == (True, False)
    changed.manifest = dataclasses.replace(history.manifest, machine=dataclasses.replace(machine, xla_flags=()))
    found = repeat(changed)
    assert (found["reproducible"], found["fast"]) == (False, True)


def test_the_command_names_a_data_set_without_its_folders(tmp_path):
    path = simulated_run(tmp_path / "run", 12, dataset="/home/gertrude/images.npz")
    data = story(History(Workdir(path)), None, "")
    assert data["dataset"] == "images.npz"
    assert "--dataset images.npz" in data["repeat"]["shell"]
    assert "gertrude" not in page(data)


def test_times_add_up(history, data):
    times = data["times"]
    assert times["train"] == pytest.approx(1.5 * 450)
    # Trainings of 1.5 seconds end every second, so that two lanes are needed.
    assert times["lanes"] == 2
    assert times["wait"] == pytest.approx(times["wall"] * 2 - times["train"], abs=0.1)
    assert all(0 <= share <= 100 for lane in times["busy"] for share in lane)


def test_the_curves_have_a_value_at_every_moment(data):
    moments = data["curves"]["moments"]
    assert (moments[0], moments[-1]) == (1, 450)
    for chart in data["curves"]["charts"]:
        for line in (*chart["lines"].values(), *chart["band"]):
            assert len(line) == len(moments)
    best = data["curves"]["charts"][0]["lines"]["best validation"]
    assert best == sorted(best)
    assert best[-1] == pytest.approx(max(data["columns"]["validation"]), abs=1e-5)


def test_the_best_so_far_is_the_best_by_fitness(tmp_path):
    path = Path(ladder_space.__file__)
    run = jaxevo.evolve(
        tmp_path / "run",
        preset="paper",
        population_size=6,
        max_individuals=20,
        space=f"{path}:Ladder",
        mutations="steps",
        fitness=f"{path}:frugal,price=0.2",
    )
    data = story(History(Workdir(run.path)), None, "")
    accuracies = run.history["validation_accuracy"]
    best = data["curves"]["charts"][0]["lines"]["best validation"]
    assert best[-1] == pytest.approx(run.best.individual.accuracy, abs=1e-5)
    assert best[-1] < accuracies.max()


def test_a_run_without_an_event_has_a_page(tmp_path):
    path = simulated_run(tmp_path / "run", 12, stopped=False)
    data = story(History(Workdir(path), max_events=0), None, "")
    assert (data["events"], data["best"], data["state"].split(" · ")[-1]) == (0, -1, "has not ended")
    assert page(data)
