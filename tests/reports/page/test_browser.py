"""The pages in a real headless Chromium: what they show, keys, clicks, filters, safety and accessibility."""

import contextlib
import dataclasses
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers import simulated_runs
from helpers.simulated import Simulated
from helpers.simulated_runs import FAILURE, simulated_run
from helpers.tiny_runs import start

import jaxevo
from jaxevo.reports.page.comparison import compare, comparison_page
from jaxevo.reports.page.story import page, story
from jaxevo.search.births import Outcome
from jaxevo.storage.history import History
from jaxevo.storage.workdir import Workdir

playwright = pytest.importorskip("playwright.sync_api", reason="the Python package playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("Chromium is not installed", allow_module_level=True)

AXE = Path(__file__).parents[3] / ".ci/page/node_modules/axe-core/axe.min.js"
EVIL = "</script><img src=x onerror=window.broken=1>"
EVENTS = 230
FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser():
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *sandbox])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    return History(Workdir(simulated_run(tmp_path_factory.mktemp("browser") / "run", EVENTS)))


@pytest.fixture(scope="module")
def address(history, tmp_path_factory):
    """The page of a simulated run whose every name is an attack."""
    classes = [EVIL, "[/]", "cat"]
    image = {"height": 1, "width": 1, "channels": 1, "pixels": "AA==", "label": 0, "predicted": 1, "probability": 0.9}
    winner = {
        "classes": classes,
        "images": 6,
        "accuracy": 0.5,
        "majority": 0.4,
        "linear": 0.45,
        "by_class": [[1, 2], [1, 2], [1, 2]],
        "confusion": [[1, 1, 0], [0, 1, 1], [1, 0, 1]],
        "confused": [[0, 1, 1]],
        "wrong": [image],
    }
    data = story(history, winner, "") | {"dataset": EVIL}
    data["failures"] = [f"{FAILURE} {EVIL}"]
    file = tmp_path_factory.mktemp("page") / "page.html"
    file.write_text(page(data))
    return file.as_uri()


@contextlib.contextmanager
def opened(browser, address, clock=False, **how):
    """Opens a page, and fails if it writes an error to its console or asks the network for anything.

    With a clock, its time can be moved forward.
    """
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce", **how})
    context.set_default_timeout(120_000)  # For a busy machine.
    tab = context.new_page()
    if clock:
        tab.clock.install()
    troubles, requests = [], []
    tab.on("console", lambda message: troubles.append(message.text) if message.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: troubles.append(str(error)))
    tab.on("request", lambda request: requests.append(request.url.partition("#")[0]))
    tab.goto(address)
    settle(tab)
    yield tab
    assert troubles == []
    assert {url for url in requests if not url.startswith("blob:")} == {address.partition("#")[0]}
    context.close()


def settle(tab):
    """Waits until what was asked for is drawn."""
    tab.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def selected(tab):
    return int(tab.locator("#individual h2").inner_text().split()[1])


@pytest.fixture(scope="module")
def shared(browser, address):
    with opened(browser, address) as tab:
        yield tab


@pytest.fixture
def tab(shared):
    """The page as it is when opened, without loading it again."""
    shared.evaluate("filter({mutation: '', line: ''}); select(best); scrollTo(0, 0)")
    settle(shared)
    return shared


def test_the_winner_is_selected_and_announced(tab, history):
    best = history.best
    assert selected(tab) == best.id
    assert tab.locator("#individual .large dd").first.inner_text() == f"{best.accuracy:.1%}".replace("%", " %")
    assert tab.locator("#status").inner_text().startswith(f"Individual {best.id}: validation")
    assert tab.locator("#individual .fate").inner_text().startswith("the winner")


def test_dots_are_drawn_in_the_colours_of_living_and_dead(tab):
    colours = tab.evaluate(
        """() => { const canvas = document.querySelector('#figure canvas');
        const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        let [blue, grey] = [0, 0];
        for (let place = 0; place < data.length; place += 4) {
          if (!data[place + 3]) continue;
          if (data[place + 2] - data[place] > 80) blue += 1;
          else if (Math.abs(data[place] - data[place + 2]) < 16) grey += 1;
        }
        return [blue, grey]; }"""
    )
    assert min(colours) > 100


def test_the_lineages_networks_stand_beside_their_dots(tab, history):
    texts = tab.locator("#figure .callout > text").all_text_contents()
    line = [one.id for one in history.lineage(history.best.id)]
    shown = [int(text.split(" ")[0]) for text in texts]
    assert 1 <= len(shown) <= 4
    assert shown[-1] == history.best.id
    assert set(shown) <= set(line)


def test_keys_walk_to_parent_child_and_along_the_run(tab, history):
    best, lives = history.best, history.lives
    tab.locator("#figure").focus()
    tab.keyboard.press("ArrowUp")
    assert selected(tab) == best.parent_id
    tab.keyboard.press("ArrowDown")
    fittest = max(
        (life.individual for life in lives.values() if life.individual.parent_id == best.parent_id),
        key=lambda one: (one.fitness, -one.event),
    )
    assert selected(tab) == fittest.id
    tab.keyboard.press("Home")
    assert selected(tab) == next(iter(lives))
    tab.keyboard.press("ArrowRight")
    assert selected(tab) == list(lives)[1]
    assert f"individual={list(lives)[1]}" in tab.url
    assert tab.locator("#status").inner_text().startswith(f"Individual {list(lives)[1]}:")
    tab.keyboard.press("End")
    assert selected(tab) == best.id


def test_a_click_selects_the_dot_and_hovering_previews_one(tab):
    where = tab.evaluate(
        """() => { const plot = document.querySelector('#figure'); plot.scrollIntoView();
        const bounds = plot.querySelector('canvas').getBoundingClientRect();
        return [bounds.left, bounds.top]; }"""
    )
    first = tab.evaluate("figurePlot.xs.findIndex((x, place) => place > 40 && !Number.isNaN(figurePlot.ys[place]))")
    x, y = tab.evaluate(f"[figurePlot.xs[{first}], figurePlot.ys[{first}]]")
    before = selected(tab)
    tab.mouse.move(where[0] + x, where[1] + y)
    settle(tab)
    hovered = selected(tab)
    assert hovered != before
    assert tab.locator("#figure .tip").inner_text().startswith(str(hovered))
    assert tab.evaluate("columns.id[view.selected]") == before
    tab.mouse.click(where[0] + x, where[1] + y)
    tab.mouse.move(1, 1)
    settle(tab)
    assert selected(tab) == hovered
    assert tab.evaluate("columns.id[view.selected]") == hovered


def test_buttons_and_links_walk_too(tab, history):
    walk = tab.locator("#individual .steps")
    walk.get_by_role("button", name="parent", exact=True).click()
    assert selected(tab) == history.best.parent_id
    tab.locator("#individual .descent button").first.click()
    assert selected(tab) == history.lives[history.best.parent_id].individual.parent_id
    walk.get_by_role("button", name="the winner", exact=True).click()
    assert selected(tab) == history.best.id


def test_filters_by_mutation_and_lineage_stand_in_the_address(browser, tab, address, history):
    button = tab.locator("#mutations tbody button").first
    name = button.get_attribute("data-mutation")
    button.click()
    expected = {one for one, life in history.lives.items() if life.individual.mutation == name}
    assert set(tab.evaluate("[...shown].map((place) => columns.id[place])")) == expected
    assert tab.locator("#controls select").nth(2).input_value() == name
    tab.locator("#controls select").nth(3).select_option("winner")
    line = {one.id for one in history.lineage(history.best.id)}
    assert set(tab.evaluate("[...shown].map((place) => columns.id[place])")) == expected & line
    with opened(browser, f"{address}{tab.evaluate('location.hash')}") as other:
        assert set(other.evaluate("[...shown].map((place) => columns.id[place])")) == expected & line


def test_a_link_shows_its_selection(browser, address, history):
    other = list(history.lives)[7]
    with opened(browser, f"{address}#individual={other}&x=flops&y=test") as tab:
        assert selected(tab) == other
        assert tab.locator("#controls select").nth(0).input_value() == "flops"
        assert tab.locator("#figure svg text.name").all_text_contents() == [
            "FLOPs of the run so far →",
            "↑ test accuracy",
        ]


def choices(tab):
    return [tab.locator("#controls select").nth(number).input_value() for number in range(4)]


def test_the_link_to_the_panel_leaves_the_view_as_it_is(browser, address, history):
    other = list(history.lives)[7]
    name = next(life.individual.mutation for life in history.lives.values() if life.individual.mutation)
    view = f"#individual={other}&mutation={name}&line=winner&x=flops&y=test"
    with opened(browser, f"{address}{view}", viewport={"width": 390, "height": 900}) as tab:
        tab.locator("#jump").click()
        settle(tab)
        assert tab.evaluate("location.hash") == view
        assert (selected(tab), choices(tab)) == (other, ["flops", "test", name, "winner"])
        assert tab.evaluate("Math.abs(document.querySelector('#individual').getBoundingClientRect().top)") < 2
        assert tab.evaluate("document.activeElement.textContent") == f"Individual {other}"


def test_the_choices_follow_the_address(browser, address, history):
    other = list(history.lives)[7]
    name = next(life.individual.mutation for life in history.lives.values() if life.individual.mutation)
    with opened(browser, f"{address}#individual={other}") as tab:
        menus = tab.locator("#controls select")
        tab.evaluate(f"location.hash = 'x=flops&y=test&mutation={name}&line=winner'")
        playwright.expect(menus.nth(0)).to_have_value("flops")
        assert choices(tab) == ["flops", "test", name, "winner"]
        tab.evaluate("location.hash = 'individual&x=toString'")
        playwright.expect(menus.nth(0)).to_have_value("event")
        assert (selected(tab), choices(tab)) == (history.best.id, ["event", "validation", "", ""])


def test_the_keyboard_stays_in_the_panel(tab, history):
    tab.locator("#individual .descent button").first.focus()
    tab.keyboard.press("Enter")
    assert selected(tab) == history.best.parent_id
    assert tab.evaluate("document.activeElement.textContent") == f"Individual {history.best.parent_id}"
    tab.locator("#individual .steps").get_by_role("button", name="the winner", exact=True).focus()
    tab.keyboard.press("Enter")
    assert selected(tab) == history.best.id
    assert tab.evaluate("document.activeElement.getAttribute('aria-label')") == "the winner"


@pytest.mark.parametrize(
    ("clipboard", "says"),
    [
        ("{writeText: async (text) => { window.written = text; }}", "copied"),
        ("{writeText: async () => { throw new Error('refused'); }}", "selected"),
        ("undefined", "selected"),
    ],
)
def test_a_command_is_copied_or_selected(browser, address, clipboard, says):
    with opened(browser, address) as tab:
        tab.evaluate(f"Object.defineProperty(navigator, 'clipboard', {{value: {clipboard}}})")
        button = tab.get_by_role("button", name="Copy: Fingerprint")
        button.click()
        playwright.expect(button).to_have_text(says)
        found = tab.evaluate("window.written" if says == "copied" else "getSelection().toString()")
        assert found.strip() == tab.evaluate("story.repeat.fingerprint")


def test_the_table_has_pages_sorts_and_downloads(tab, history):
    tab.locator("#table-controls select").select_option("all")
    assert tab.locator("#table tbody tr").count() == 100
    assert tab.locator("#table-controls [role=status]").inner_text() == f"1 to 100 of {EVENTS}"
    tab.get_by_role("button", name="on →").click()
    tab.get_by_role("button", name="on →").click()
    assert tab.locator("#table tbody tr").count() == EVENTS - 200
    tab.locator("#table thead").get_by_role("button", name="validation").click()
    assert tab.locator("#table tbody tr").first.get_attribute("data-place") == str(tab.evaluate("best"))
    tab.locator("#table tbody tr").nth(1).locator("td").nth(3).click()
    assert str(selected(tab)) == tab.locator("#table tbody tr[aria-current='true'] td").first.inner_text()
    with tab.expect_download() as download:
        tab.get_by_role("button", name="Download all as CSV").click()
    lines = Path(download.value.path()).read_text().splitlines()
    assert len(lines) == EVENTS + 1
    assert lines[0].startswith("id,event,parent,mutation,validation,test,")


def test_names_are_shown_as_text_and_do_nothing(tab):
    assert tab.locator("h1").inner_text() == EVIL
    assert tab.locator("#failures").inner_text().count(EVIL) == 1
    assert tab.locator("img").count() == 0
    assert tab.evaluate("window.broken") is None


def test_the_policy_forbids_scripts_from_elsewhere(browser, address):
    context = browser.new_context()
    context.set_default_timeout(120_000)
    tab = context.new_page()
    tab.goto(address)
    tab.evaluate(
        """() => { const script = document.createElement('script');
        script.textContent = 'window.broken = 1'; document.body.append(script); }"""
    )
    assert tab.evaluate("window.broken") is None
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing(browser, address, scheme, width):
    if not AXE.exists():
        pytest.skip("axe-core is not installed: npm ci in .ci/page")
    with opened(browser, address, color_scheme=scheme, viewport={"width": width, "height": 900}) as tab:
        assert violations(tab) == []
        # Nothing is wider than the window.
        assert tab.evaluate("document.documentElement.scrollWidth") <= width


def violations(tab):
    tab.evaluate(AXE.read_text())
    found = tab.evaluate("axe.run().then(({violations}) => violations)")
    return [(one["id"], [node["html"][:200] for node in one["nodes"]][:3]) for one in found]


def test_everything_can_be_reached_by_the_keyboard(tab):
    tab.locator("#theme").focus()
    reached = {"theme"}
    for _ in range(60):
        tab.keyboard.press("Tab")
        reached.add(tab.evaluate("document.activeElement.id || document.activeElement.closest('[id]')?.id"))
    assert {"theme", "figure", "controls", "strip", "mutations"} <= reached


def test_the_theme_can_be_chosen(tab):
    paper = "getComputedStyle(document.body).backgroundColor"
    before = tab.evaluate(paper)
    button = tab.locator("#theme")
    button.click()
    assert (button.inner_text(), tab.evaluate(paper)) == ("light", before)
    button.click()
    assert button.inner_text() == "dark"
    assert tab.evaluate(paper) != before
    button.click()
    assert (button.inner_text(), tab.evaluate(paper)) == ("auto", before)


def test_a_watched_page_reloads_itself_and_keeps_its_selection(browser, history, tmp_path):
    file, other = tmp_path / "page.html", list(history.lives)[9]
    data = story(history, None, "", live=True)
    file.write_text(page(data | {"dataset": "before"}))
    with opened(browser, f"{file.as_uri()}#individual={other}", clock=True) as tab:
        file.write_text(page(data | {"dataset": "after", "live": False}))
        tab.clock.fast_forward(11_000)
        playwright.expect(tab.locator("h1")).to_have_text("after", timeout=60_000)
        assert selected(tab) == other


def test_a_page_of_no_individual_opens(browser, tmp_path):
    path = simulated_run(tmp_path / "run", 12)
    file = tmp_path / "page.html"
    file.write_text(page(story(History(Workdir(path), max_events=0), None, "nothing")))
    with opened(browser, file.as_uri()) as tab:
        assert "No individual has finished yet" in tab.locator("#individual").inner_text()


def test_a_failed_ancestor_has_no_accuracy_and_no_change(browser, tmp_path):
    history = History(Workdir(simulated_run(tmp_path / "run", seed=6, selection="random")))
    line = history.lineage(history.best.id)
    (place,) = (place for place, one in enumerate(line) if one.failure is not None)
    file = tmp_path / "page.html"
    file.write_text(page(story(history, None, "")))
    with opened(browser, file.as_uri()) as tab:
        gains = [text.split("\n")[0] for text in tab.locator("#strip .gain").all_inner_texts()]
        without = [number for number, text in enumerate(gains) if text in ("", "weights kept", "fresh weights")]
        assert without == [0, place, place + 1]
        assert tab.locator("#strip .who").nth(place).inner_text() == f"{line[place].id} failed"
        assert f"{line[place].id} · 0.0 %" not in tab.locator("#figure .callout > text").all_text_contents()


def test_a_run_in_which_all_failed_has_no_best_accuracy(browser, tmp_path, monkeypatch):
    def failed(self, birth):
        record, outcome = Simulated.record(self, birth), Outcome(birth.id, 0.0, None, None, failure=FAILURE)
        return dataclasses.replace(record, outcome=outcome, test_accuracy=None, finished=1000.0 + birth.id)

    monkeypatch.setattr(simulated_runs._Lanes, "record", failed)
    history = History(Workdir(simulated_run(tmp_path / "run", 20)))
    data = story(history, None, "")
    assert set(data["curves"]["charts"][0]["lines"]["best validation"]) == {None}
    file = tmp_path / "page.html"
    file.write_text(page(data))
    with opened(browser, file.as_uri()) as tab:
        assert tab.locator("#numbers dd").all_inner_texts()[:2] == ["\u2013", "\u2013"]
        for part in ("#numbers", "#figure", "#strip", "#individual", "#jump"):
            assert "0.0 %" not in tab.locator(part).text_content()


def test_a_comparison_opens(browser, tmp_path):
    runs = {
        f"{selection}-{seed}": History(
            Workdir(simulated_run(tmp_path / f"{selection}-{seed}", 20, seed=seed, selection=selection))
        )
        for selection in ("aging", "random")
        for seed in (1, 2)
    }
    file = tmp_path / "page.html"
    file.write_text(comparison_page(compare(runs)))
    with opened(browser, file.as_uri()) as tab:
        assert tab.locator("#courses path.course").count() == 2
        assert tab.locator("#courses path.control").count() == 1
        assert tab.locator("#runs tbody tr").count() == 4
        assert tab.locator("#tests tbody tr").count() == 1
        assert (
            tab.locator("#subtitle").inner_text().startswith("They differ in selection. Individuals a run: 20. FLOPs")
        )
        assert tab.locator("#notes").inner_text() == ""
        if AXE.exists():
            assert violations(tab) == []


def test_a_comparison_tells_lengths_copies_and_repeated_seeds(browser, tmp_path):
    paths = [simulated_run(tmp_path / str(seed), 20, seed=seed) for seed in (1, 2)]
    one, other = (History(Workdir(path)) for path in paths)
    runs = {"one": one, "copy": one, "other": other, "again": History(Workdir(paths[1]), max_events=12)}
    file = tmp_path / "page.html"
    file.write_text(comparison_page(compare(runs)))
    with opened(browser, file.as_uri()) as tab:
        subtitle = tab.locator("#subtitle").inner_text()
        assert subtitle.startswith(
            "Their settings differ in the seeds alone. Individuals a run: 12 to 20. FLOPs a run: "
        )
        assert tab.locator("#notes").inner_text() == (
            "copy is left out: by its fingerprint it is the same run as one. The group “all runs” has several runs of "
            "seed 2: all count in its mean and interval, and a test takes their mean."
        )


def test_the_report_of_a_trained_run_shows_what_the_winner_gets_wrong(browser, tmp_path):
    generator = np.random.default_rng(0)
    labels = np.arange(120) % 2
    images = (generator.integers(0, 120, (120, 8, 8)) + 60 * labels[:, None, None]).astype(np.uint8)
    np.savez(
        tmp_path / "evil.npz",
        train_images=images,
        train_labels=labels,
        test_images=images[:30],
        test_labels=(labels[:30] + (np.arange(30) < 5)) % 2,
        class_names=np.array([EVIL, "[/]"]),
    )
    start(tmp_path / "run", 8, dataset=str(tmp_path / "evil.npz"))
    run = jaxevo.open(tmp_path / "run")
    file = run.report(tmp_path / "page.html", phylogeny=tmp_path / "descent.csv")
    assert len((tmp_path / "descent.csv").read_text().splitlines()) == 9
    assert str(tmp_path) not in file.read_text()
    with opened(browser, file.as_uri()) as tab:
        cells = tab.locator("#winner .confusion td").all_inner_texts()
        counts = [int(text or 0) for text in cells[-4:]]
        assert sum(counts) == 30
        assert (counts[0] + counts[3]) / 30 == pytest.approx(run.best.test_accuracy, abs=0.02)
        wrong = tab.locator("#winner .wrong li").count()
        assert wrong == min(12, counts[1] + counts[2]) > 0
        assert f"this file holds {wrong} test images" in tab.locator("#winner").inner_text()
        assert EVIL[:5] in tab.locator("#winner").inner_text()
        assert tab.evaluate("window.broken") is None
    left_out = run.report(images=False)
    assert left_out == tmp_path / "run" / "report.html"
    assert '"winner":null' in left_out.read_text()
