"""Write figures 1 to 3 from work folders, as far as the runs allow."""

import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from jaxevo.reports.figures.clock import Clock
from jaxevo.reports.figures.dependence import dependence
from jaxevo.reports.figures.evolution import evolution
from jaxevo.reports.figures.repeatability import repeatability
from jaxevo.reports.figures.style import save
from jaxevo.reports.page.repeat import shown_setting
from jaxevo.reports.run import Run
from jaxevo.settings import Settings

_CONTROLS = ("selection", "sample_size", "inheritance")
# The number of virtual workers follows from the size of the population, unless it is given.
_PANELS = {"population_size": ("population size", ("num_workers",)), "train_steps": ("training steps", ())}
_FORMATS = ("svg", "pdf")


def write_figures(paths: Iterable[Path], folder: Path, clock: Clock, say: Callable[[str], None]) -> None:
    """Writes the figures that the runs allow, as SVG and PDF, and says which are left out.

    Args:
        paths: work folders; figure 1 shows the first.
        folder: the folder to write to, made if there is none.
        clock: unit of time of figures 1 and 2.
        say: called with a sentence for each figure.

    Raises:
        ValueError: if a folder holds no run or no individual that was trained successfully, the runs are of different
            data, or a file cannot be written.
    """
    runs = [Run(path) for path in dict.fromkeys(path.resolve() for path in paths)]
    if len({run.manifest.data_fingerprint for run in runs}) > 1:
        raise ValueError("the runs are of different data, so their accuracies cannot be compared: give runs of one")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"out is {str(folder)!r}, which cannot be made ({error.strerror}): choose another") from error
    _write(folder, 1, evolution(runs[0].history, runs[0].drawing, clock=clock), say)
    groups = repeated(runs)
    if sum(map(len, groups.values())) > 1:
        frames = {name: [run.history for run in members] for name, members in groups.items()}
        _write(folder, 2, repeatability(frames, clock=clock), say)
    else:
        say("figure 2 is left out: it needs two or more runs that differ at most in seed, selection or inheritance")
    panels = depending(runs)
    if panels:
        shown = {
            name: {value: [run.history for run in members] for value, members in panel.items()}
            for name, panel in panels.items()
        }
        _write(folder, 3, dependence(shown), say)
    else:
        say("figure 3 is left out: it needs two or more runs that differ in population-size or in train-steps alone")


def _write(folder: Path, number: int, figure: Figure, say: Callable[[str], None]) -> None:
    files = [save(figure, folder / f"figure{number}.{kind}") for kind in _FORMATS]
    say(f"wrote {' and '.join(map(str, files))}")


def repeated(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Returns the most runs that differ only in seed, selection and inheritance, by these two; the controls last."""
    alike = max(_alike(runs, _CONTROLS), key=len)
    settings = [run.settings for run in alike]
    differing = [name for name in _CONTROLS if len({getattr(one, name) for one in settings}) > 1]
    groups: dict[str, list[Run]] = {}
    for run in sorted(alike, key=lambda one: (_control(one.settings) != "", one.settings.seed)):
        groups.setdefault(_control(run.settings) or _name(run.settings, differing, settings), []).append(run)
    return groups


def _control(settings: Settings) -> str:
    """Returns the name of a control, empty if the run is none."""
    if settings.selection == "random":
        return "random selection"
    return "no weight inheritance" if settings.inheritance == "none" else ""


def _name(settings: Settings, differing: Sequence[str], others: Sequence[Settings]) -> str:
    """Returns the settings in which a run differs from the others that are no controls."""
    evolved = [one for one in others if not _control(one)]
    shown = [name for name in differing if len({getattr(one, name) for one in evolved}) > 1]
    values = [f"{name.replace('_', ' ')} {shown_setting(name, getattr(settings, name))}" for name in shown]
    return ", ".join(values) or "evolution"


def depending(runs: Sequence[Run]) -> dict[str, dict[float, list[Run]]]:
    """Returns, for each setting of figure 3 that varies, the runs by its value that are alike otherwise."""
    panels = {}
    for setting, (label, following) in _PANELS.items():
        varied = [_by_value(alike, setting) for alike in _alike(runs, (setting, *following))]
        most = max(varied, key=lambda one: (len(one), sum(map(len, one.values()))))
        if len(most) > 1:
            panels[label] = most
    return panels


def _by_value(runs: Sequence[Run], setting: str) -> dict[float, list[Run]]:
    values: dict[float, list[Run]] = {}
    for run in runs:
        values.setdefault(getattr(run.settings, setting), []).append(run)
    return dict(sorted(values.items()))


def _alike(runs: Sequence[Run], free: Collection[str]) -> list[list[Run]]:
    """Returns the runs in groups whose settings are equal but for the seed, the data's place and the free ones."""
    groups: dict[tuple[Any, ...], list[Run]] = {}
    for run in runs:
        fields: Mapping[str, Any] = dataclasses.asdict(run.settings)
        key = tuple(value for name, value in fields.items() if name not in ("seed", "dataset", *free))
        groups.setdefault(key, []).append(run)
    return list(groups.values())
