"""Whether the parts of a work folder are of one run, and as old as each other: asked before anything is changed.

A part that was altered, lost, or put in from another copy would lead a resumed run astray, and have it remove weights
that the right one needs. What was altered consistently, `jaxevo.reports.verify` finds.
"""

from jaxevo.search.evolution import EvolutionState
from jaxevo.storage.journal import JournalContent
from jaxevo.storage.workdir import Workdir, WorkdirError, attempted, manifest_sha256, weight_names


def check_manifest(workdir: Workdir, content: JournalContent) -> None:
    """Raises `WorkdirError` where the manifest is not the one that the journal's sessions read."""
    found = manifest_sha256(workdir)
    if any(session.manifest_sha256 != found for session in content.sessions):
        raise WorkdirError(
            f"{workdir.manifest} is not the one that the run was begun with: restore it from a copy; for other "
            "settings begin another run. Nothing was changed"
        )


def check_journal(workdir: Workdir, content: JournalContent, state: EvolutionState | None) -> None:
    """Raises `WorkdirError` where the journal does not hold what a snapshot, or any weights, came from.

    Args:
        workdir: of the run.
        content: of its journal.
        state: of its last snapshot, None where there is none.
    """
    told = {(snapshot.events, snapshot.fingerprint) for snapshot in content.snapshots}
    told |= {(stop.events, stop.fingerprint) for stop in content.stops}
    if state is not None and (state.events, state.fingerprint) not in told:
        raise WorkdirError(
            f"the snapshot {workdir.snapshots / str(state.events)} is not of the run that {workdir.journal} holds, or "
            "the journal lacks its end: restore the one that was replaced from a copy; where that is the snapshot, it "
            f"is enough to delete {workdir.snapshots}. Nothing was changed"
        )
    known = {(attempt.id, attempt.number) for attempt in content.attempts} | {None}
    for name in weight_names(workdir.weights):
        if attempted(name) not in known:
            raise WorkdirError(
                f"the weights {workdir.weights / name} are of a training that {workdir.journal} does not hold: the "
                "journal lacks its end, or is of another run; restore it from a copy. Nothing was changed"
            )
