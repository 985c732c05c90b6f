"""Attempts at training a birth: numbered, durable before they start, with a count of the processes that died in them.

The death of a process is never an outcome. But a birth that kills its process each time, for lack of memory, would
stop the run for good. So the run names that birth and leaves the choice to the user.
"""

import collections
from collections.abc import Callable, Sequence
from typing import Protocol

from jaxevo.search.births import Birth, birth_sha256
from jaxevo.storage.journal import Attempt, Journal, JournalContent, LostAttempt

_SUSPICIOUS_DEATHS = 2


class AttemptsError(RuntimeError):
    """A training keeps killing its process; the message names the birth and says what to do."""


class AttemptKeeper(Protocol):
    """Numbers attempts, and knows which births have killed a process."""

    def begin(self, births: Sequence[Birth]) -> list[int]:
        """Makes an attempt at each birth durable and returns their numbers."""

    def lost(self, birth_id: int, number: int, reason: str) -> None:
        """Notes that an attempt ended without a record."""

    def suspicious(self, birth_id: int) -> bool:
        """Returns True if a birth must be trained alone."""


class Attempts:
    """The attempts of a session, after those in the journal. Threads may share it."""

    def __init__(
        self,
        journal: Journal,
        content: JournalContent,
        session: int,
        max_deaths: int,
        first_step: Callable[[int], int] = lambda _: 0,
    ) -> None:
        """Counts the attempts and deaths in a journal.

        Args:
            journal: journal to write to.
            content: content of the journal when the session began.
            session: number of the session.
            max_deaths: number of deaths after which a birth gets no other attempt.
            first_step: `(birth id) -> step`, the training step to continue from.
        """
        self._journal = journal
        self._session = session
        self._max_deaths = max_deaths
        self._first_step = first_step
        self._lost = {lost.id: lost for lost in content.lost}
        self._made = collections.Counter(attempt.id for attempt in content.attempts)
        self._steps, self._deaths = _progress(content)

    def begin(self, births: Sequence[Birth]) -> list[int]:
        """Makes an attempt at each birth durable and returns their numbers; only then may the trainings start.

        Raises:
            AttemptsError: if the training of a birth has killed its process too often.
        """
        entries = [
            Attempt(birth.id, self._made[birth.id] + 1, self._session, self._first_step(birth.id), birth_sha256(birth))
            for birth in births
        ]
        for attempt in entries:
            _begin(attempt, self._steps, self._deaths)
            if self._deaths[attempt.id] >= self._max_deaths:
                lost = self._lost.get(attempt.id)
                # An earlier attempt's reason says nothing of the last death.
                noted = f" ({lost.reason})" if lost is not None and lost.number == attempt.number - 1 else ""
                raise AttemptsError(
                    f"the process died {self._deaths[attempt.id]} times while it trained individual {attempt.id}"
                    f"{noted}, perhaps for lack of memory: mend that and resume with a larger --max-deaths, or with "
                    f"--skip-birth {attempt.id}, which counts it as failed. Finished individuals are kept"
                )
        self._journal.append(entries)
        self._made.update(attempt.id for attempt in entries)
        return [attempt.number for attempt in entries]

    def lost(self, birth_id: int, number: int, reason: str) -> None:
        """Notes that an attempt ended without a record, so that the birth may be tried again."""
        self._lost[birth_id] = LostAttempt(birth_id, number, reason)
        self._journal.append([self._lost[birth_id]])
        self._deaths[birth_id] = self._deaths.get(birth_id, 0) + 1

    def suspicious(self, birth_id: int) -> bool:
        """Returns True if a birth must be trained alone, so that no other is blamed for the next death."""
        return self._deaths.get(birth_id, 0) >= _SUSPICIOUS_DEATHS


def deaths(content: JournalContent) -> dict[int, int]:
    """Returns the number of deaths in the training of each unfinished birth since its last progress.

    A session that ended cleanly dropped its trainings without a death. An attempt that starts from a later step than
    the one before has made progress, so that preemption is not held against long trainings.
    """
    return _progress(content)[1]


def _progress(content: JournalContent) -> tuple[dict[int, int], dict[int, int]]:
    """Returns the last step that each unfinished birth continued from, and its deaths since then."""
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
    """Resets the deaths of a birth if an attempt continues from a later step than those before."""
    if attempt.first_step > steps.get(attempt.id, -1):
        steps[attempt.id], counted[attempt.id] = attempt.first_step, 0
