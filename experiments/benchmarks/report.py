"""Measure the report: bytes, seconds to write, and seconds from navigation until it is drawn in headless Chromium.

    python -m experiments.benchmarks.report [WORKDIR] [--individuals 10000]

It measures the page of a run in a work folder, if one is given, and that of a simulated run. Drawing is the median of
five; it needs Chromium and the Python package playwright, and is left out without them.
"""

import argparse
import contextlib
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jaxevo
from experiments.benchmarks.markdown import table
from experiments.benchmarks.scale.executor import SimulatedExecutor
from experiments.benchmarks.scale.scenarios import DIGITS, FITTED, manifest_of
from jaxevo.doors.opening import built_in
from jaxevo.session.loop import HostLoop
from jaxevo.session.progress import Watcher
from jaxevo.settings import Execution, Limits, Settings
from jaxevo.storage.attempts import Attempts
from jaxevo.storage.journal import Start, Stop
from jaxevo.storage.manifest import manifest_sha256, write_manifest
from jaxevo.storage.stored_run import RunWriter, StoredRun
from jaxevo.storage.workdir import Workdir

_LANES = 8
_SIGMA = 0.1
_DRAWINGS = 5
_FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# The script draws before the load event, but for what observers of sizes draw in the first two frames.
_DRAWN = (
    """() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))))"""
)


def simulate(path: Path, individuals: int) -> None:
    """Writes a run of simulated trainings, of a population of 250, to a new folder."""
    path.mkdir(parents=True)
    workdir, limits = Workdir(path), Limits(max_individuals=individuals)
    settings = Settings(population_size=250, train_steps=300)
    write_manifest(workdir, manifest_of(settings, DIGITS, limits))
    run = StoredRun(workdir, manifest_of(settings, DIGITS, limits), built_in(settings))
    with RunWriter(run, Execution().events_a_snapshot(settings.population_size)) as writer:
        writer.journal.append([Start(1, 0.0, limits, manifest_sha256(workdir), run.manifest.machine)])
        begin = Attempts(writer.journal, run.content, 1, max_deaths=5).begin
        executor = SimulatedExecutor(_LANES, FITTED, _SIGMA, handed=10, begin=begin)
        loop = HostLoop(run, limits, writer, executor, Watcher())
        reason = loop.until_stopped(lambda: False)
        state = loop.progress().state
        writer.journal.append([Stop(1, state.events, reason, state.fingerprint, executor.now)])


def main() -> None:
    """Measures the pages and prints a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("workdir", nargs="?", type=Path, help="a run to measure beside the simulated one")
    parser.add_argument("--individuals", type=int, default=10_000, help="of the simulated run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="jaxevo-report-") as folder, drawing() as seconds_to_draw:
        simulated = Path(folder) / "simulated"
        simulate(simulated, arguments.individuals)
        rows = []
        for name, path in (("run", arguments.workdir), ("simulated", simulated)):
            if path is None:
                continue
            page = Path(folder) / f"{name}.html"
            began = time.perf_counter()
            run = jaxevo.open(path)
            run.report(page)
            wrote = time.perf_counter() - began
            drawn = seconds_to_draw(page)
            texts = [f"{one:.2f}" for one in drawn]
            rows.append(
                [
                    name,
                    f"{run.events:,}",
                    f"{page.stat().st_size:,}",
                    f"{wrote:.1f}",
                    f"{statistics.median(drawn):.2f} ({', '.join(texts)})" if drawn else "no Chromium",
                ]
            )
        print(table(["run", "individuals", "bytes", "seconds to write", "seconds to draw (all five)"], rows))


@contextlib.contextmanager
def drawing() -> Iterator[Callable[[Path], list[float]]]:
    """Gives a function from a page to the seconds from navigation until it was drawn, five times; none if it cannot."""
    chromium = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        chromium = None
    if chromium is None:
        yield lambda page: []
        return
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=[*_FLAGS, *sandbox])

        def seconds(page: Path) -> list[float]:
            drawn = []
            for _ in range(_DRAWINGS):
                context = browser.new_context(viewport={"width": 1280, "height": 900})
                tab = context.new_page()
                tab.goto(page.as_uri())
                drawn.append(float(tab.evaluate(_DRAWN)) / 1000)
                context.close()
            return drawn

        yield seconds
        browser.close()


if __name__ == "__main__":
    main()
