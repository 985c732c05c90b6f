"""The limits of a resumed run, read without JAX."""

import dataclasses
from collections.abc import Iterable, Mapping

from jaxevo.settings import Limits
from jaxevo.storage.journal import JournalContent
from jaxevo.storage.manifest import Manifest


def check_changes(changes: Mapping[str, object], names: Iterable[str]) -> None:
    """Raises `ValueError` if a named limit is given as None, which leaves the limit of a resumed run as it is."""
    for name in names:
        if name in changes and changes[name] is None:
            raise ValueError(f"{name} is none, but resume lifts no limit: give a number that is large enough")


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
