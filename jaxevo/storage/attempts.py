"""Attempts at training a birth: numbered, durable before they start, counted where a process died in them.

The death of a process is never an outcome. But a birth whose training kills its process each time, by taking more
memory than there is, would stop the run for good: so the run names it and leaves the choice to the user.
"""

import collections
from collections.abc import Callable, Sequence
from typing import Protocol

from jaxevo.search.births import Birth, birth_sha256
from jaxevo.storage.journal import Attempt, Journal, JournalContent, LostAttempt

_SUSPICIOUS_DEATHS = 2


class AttemptsError(RuntimeError):
    """A birth whose training keeps killing its process; the message names it and says what to do."""


class AttemptKeeper(Protocol):
    """Whoever numbers attempts, and knows which births have killed a process."""

    def begin(self, births: Sequence[Birth]) -> list[int]:
        """Returns the number of a durable attempt at each birth."""

    def lost(self, birth_id: int, number: int, reason: str) -> None:
        """Takes note of an attempt that ended without a record."""

    def suspicious(self, birth_id: int) -> bool:
        """Returns whether a birth is to be trained alone."""


class Attempts:
    """The attempts of a session, on top of those that the journal holds. Threads may share it."""

    def __init__(
        self,
        journal: Journal,
        content: JournalContent,
        session: int,
        max_deaths: int,
        first_step: Callable[[int], int] = lambda _: 0,
    ) -> None:
        """Counts what a journal holds.

        Args:
            journal: to write to.
            content: what it held when the session began.
            session: the session's number.
            max_deaths: after so many deaths in the training of one birth no other attempt is made.
            first_step: `(birth id) -> step` that its training can go on from.
        """
        self._journal = journal
        self._session = session
        self._max_deaths = max_deaths
        self._first_step = first_step
        self._made = collections.Counter(attempt.id for attempt in content.attempts)
        self._steps, self._deaths = _progress(content)

    def begin(self, births: Sequence[Birth]) -> list[int]:
        """Makes an attempt at each birth durable, and returns their numbers; only then may the trainings start.

        Raises:
            AttemptsError: for a birth whose training has killed its process too often.
        """
        entries = [
            Attempt(birth.id, self._made[birth.id] + 1, self._session, self._first_step(birth.id), birth_sha256(birth))
            for birth in births
        ]
        for attempt in entries:
            _begin(attempt, self._steps, self._deaths)
            if self._deaths[attempt.id] >= self._max_deaths:
                raise AttemptsError(
                    f"the process died {self._deaths[attempt.id]} times while it trained individual {attempt.id}, "
                    "which probably takes more memory than there is: with more memory, resume with a larger "
                    f"--max-deaths; else with --skip-birth {attempt.id}, which counts it as failed. What had finished "
                    "is kept"
                )
        self._journal.append(entries)
        self._made.update(attempt.id for attempt in entries)
        return [attempt.number for attempt in entries]

    def lost(self, birth_id: int, number: int, reason: str) -> None:
        """Notes that an attempt ended without a record; the birth may then be tried again."""
        self._journal.append([LostAttempt(birth_id, number, reason)])
        self._deaths[birth_id] = self._deaths.get(birth_id, 0) + 1

    def suspicious(self, birth_id: int) -> bool:
        """Returns whether a birth is to be trained alone, so that no innocent one is blamed for the next death."""
        return self._deaths.get(birth_id, 0) >= _SUSPICIOUS_DEATHS


def deaths(content: JournalContent) -> dict[int, int]:
    """Returns how often a process died in the training of each unfinished birth, since it last came further.

    A session that ended cleanly dropped its trainings without any death. A training that goes on from a later step than
    the one before has come further: preemption of long trainings is no fault of theirs.
    """
    return _progress(content)[1]


def _progress(content: JournalContent) -> tuple[dict[int, int], dict[int, int]]:
    """Returns the last step that an attempt at each unfinished birth went on from, and the deaths since then."""
    clean = {stop.session for stop in content.stops}
    noticed = {(attempt.id, attempt.number) for attempt in content.lost}
    steps: dict[int, int] = {}
    counted: dict[int, int] = {}
    for attempt in content.attempts:
        if attempt.id in content.records:
            continue
        _begin(attempt, steps, counted)
        if attempt.session not in clean or (attempt.id, attempt.number) in noticed:
            counted[attempt.id] += 1
    return steps, counted


def _begin(attempt: Attempt, steps: dict[int, int], counted: dict[int, int]) -> None:
    """Has the deaths of a birth counted anew where an attempt goes on from a later step than those before."""
    if attempt.first_step > steps.get(attempt.id, -1):
        steps[attempt.id], counted[attempt.id] = attempt.first_step, 0
