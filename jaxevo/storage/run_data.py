"""Find the data set of a run, wherever it lies now."""

import os
from collections.abc import Callable
from pathlib import Path

from jaxevo.data import Dataset, absolute_name, augmented_as, load
from jaxevo.storage.manifest import Manifest
from jaxevo.storage.workdir import Workdir, WorkdirError


def beside(workdir: Workdir, dataset: str) -> str:
    """Returns the path of a data set from the work folder, empty if it is a name."""
    return os.path.relpath(dataset, workdir.path.absolute()) if os.path.isabs(dataset) else ""


def load_run_data(
    workdir: Workdir, manifest: Manifest, given: str | None = None, tell: Callable[[str], None] = lambda _: None
) -> Dataset:
    """Loads the data set of a run and compares its fingerprint.

    Args:
        workdir: work folder of the run.
        manifest: manifest of the run.
        given: name or path of the data set if it has moved; None to look where it was, and then beside the work folder
            as it was.
        tell: receives the progress, and where the data set was found if it has moved.

    Raises:
        WorkdirError: if the data set has changed, or is not found.
        ValueError: as `jaxevo.data.load`.
    """
    settings = manifest.settings
    place = absolute_name(given) if given is not None else _place(workdir, manifest, tell)
    dataset = load(place, settings.image_size, tell, recorded=given is None)
    if dataset.fingerprint != manifest.data_fingerprint:
        raise WorkdirError(
            f"the data set {place!r} is not the one that the run in {workdir.path} began with: restore that one, give "
            "its place with --dataset, or begin a new run. Nothing was changed"
        )
    return augmented_as(dataset, settings.dataset)


def _place(workdir: Workdir, manifest: Manifest, tell: Callable[[str], None]) -> str:
    place = manifest.settings.dataset
    if not os.path.isabs(place) or Path(place).exists():
        return place
    moved = Path(os.path.normpath(workdir.path.absolute() / manifest.dataset_beside))
    if manifest.dataset_beside and moved.exists():
        tell(f"the data set has moved with the work folder: it is {moved}")
        return str(moved)
    raise WorkdirError(
        f"the data set of the run in {workdir.path} is neither {place} nor {moved}: give its place with --dataset. "
        "Nothing was changed"
    )
