"""The report of one run: its data, and the page that shows them."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxevo.reports.page.assemble import assemble
from jaxevo.reports.page.curves import curves
from jaxevo.reports.page.descent import measures, mutations_tried
from jaxevo.reports.page.individuals import NONE, individuals
from jaxevo.reports.page.repeat import repeat
from jaxevo.reports.page.times import times
from jaxevo.storage.history import History

SCRIPTS = (
    "numbers.js",
    "data.js",
    "state.js",
    "dom.js",
    "scale.js",
    "network.js",
    "plot.js",
    "figure.js",
    "panel.js",
    "lineage.js",
    "curves.js",
    "tree.js",
    "pareto.js",
    "times.js",
    "table.js",
    "winner.js",
    "repeat.js",
    "main.js",
)
"""The scripts of the page of one run, in order."""

RELOAD_SECONDS = 10


def story(history: History, winner: Mapping[str, Any] | None, winner_note: str, live: bool = False) -> dict[str, Any]:
    """Returns all that the page of a run shows, as JSON values. It holds no absolute path and no host name.

    Args:
        history: the run.
        winner: what the winner does with the test images, None if that is left out.
        winner_note: the reason in that case; may be empty otherwise.
        live: True if the page is to reload itself because the run goes on.
    """
    found = individuals(history)
    manifest, state, best = history.manifest, history.state, history.state.best
    places = {individual_id: place for place, individual_id in enumerate(history.lives)}
    return {
        "dataset": Path(manifest.settings.dataset).name,
        "seed": manifest.settings.seed,
        "events": state.events,
        "best": NONE if best is None else places[best.id],
        "state": _state(history),
        "live": live,
        "reload_seconds": RELOAD_SECONDS,
        "total_flops": state.total_flops,
        "classes": len(manifest.class_names),
        "image_shape": manifest.image_shape,
        **found,
        "measures": measures(history),
        "tried": mutations_tried(history),
        "curves": curves(history, found["columns"], found["summary"]),
        "times": times(history),
        "repeat": repeat(history),
        "finish": _finish(history),
        "winner": winner,
        "winner_note": winner_note,
    }


def _finish(history: History) -> dict[str, Any] | None:
    """Returns the finish of the best individual, None if there is none."""
    finish = history.finish
    if finish is None:
        return None
    evolved = history.lives[finish.individual_id].record.test_accuracy
    return {
        "steps": finish.steps,
        "seconds": round(finish.seconds, 1),
        "share": finish.share,
        "evolved": evolved,
        "finished": finish.test_accuracy,
        "failure": finish.failure or "",
    }


def page(data: Mapping[str, Any]) -> str:
    """Returns the page that shows a story, as HTML."""
    return assemble("page.html", SCRIPTS, data, f"{data['dataset']}, seed {data['seed']}: what evolved")


def _state(history: History) -> str:
    """Returns how far the run is, in words."""
    settings, stopped = history.manifest.settings, history.journal.stopped
    reason = "has not ended" if stopped is None else f"ended by {stopped.reason.replace('_', ' ')}"
    sessions = history.journal.sessions
    began = time.strftime("%-d %B %Y", time.gmtime(sessions[0].started)) if sessions else "not begun"
    return f"{settings.selection} selection, population {settings.population_size} · {began} · {reason}"
