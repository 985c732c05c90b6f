"""The limits of a resumed run, read without JAX."""

import dataclasses
from collections.abc import Mapping

from jaxevo.settings import Limits
from jaxevo.storage.journal import JournalContent
from jaxevo.storage.manifest import Manifest


def check_changes(given: Mapping[str, object]) -> None:
    """Raises `ValueError` if a limit is given as None, which would leave that of a resumed run as it is."""
    for field in dataclasses.fields(Limits):
        if field.name in given and given[field.name] is None:
            raise ValueError(f"{field.name} is none, but resume lifts no limit: give a number that is large enough")


def limits_changed(manifest: Manifest, content: JournalContent, changes: Limits) -> Limits:
    """Returns the limits of the last session with the given changes.

    The limit that ended that session is dropped if another one is given: otherwise the run would stop at once. A share
    of the finish is none.
    """
    limits = content.sessions[-1].limits if content.sessions else manifest.limits
    given = {name: value for name, value in dataclasses.asdict(changes).items() if value is not None}
    met = content.stopped.reason if content.stopped is not None else None
    lifted = {met: None} if given.keys() - {"finish_share"} and met in dataclasses.asdict(limits) else {}
    return dataclasses.replace(limits, **{**lifted, **given})
