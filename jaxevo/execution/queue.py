"""The queue of births that wait for a lane: choose the next one to train, and the next one to compile ahead.

Both follow due order, so that the next outcome to be told comes first. A birth whose training killed its process before
is trained alone, so that no other is blamed for the next death. Nothing is compiled ahead meanwhile, because the
compilation may be what killed the process.
"""

import threading
import time
from collections.abc import Hashable, Iterable, Sequence

from jaxevo.networks.compilation import Compiler
from jaxevo.search.births import Birth
from jaxevo.search.in_flight import by_due
from jaxevo.storage.attempts import AttemptKeeper


class BirthQueue:
    """The births that wait or are in training. Threads share it."""

    def __init__(self, attempts: AttemptKeeper) -> None:
        """Makes an empty queue; `attempts` knows which births have killed a process."""
        self._attempts = attempts
        self._condition = threading.Condition()
        self._waiting: list[Birth] = []
        # Births in training, with the time of the last sign of life.
        self._in_training: dict[int, float] = {}
        self._compiling_ahead: list[Hashable] = []
        self._closed = False

    def submit(self, births: Iterable[Birth]) -> None:
        """Adds births."""
        with self._condition:
            self._waiting = sorted((*self._waiting, *births), key=by_due)
            self._condition.notify_all()

    def close(self) -> None:
        """Closes the queue; lanes drop their trainings and get no other birth."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def take(self, compiler: Compiler) -> Birth | None:
        """Waits for the next birth for a lane and returns it, None once the queue is closed."""
        with self._condition:
            while not self._closed:
                birth = self._next_waiting(compiler)
                if birth is not None:
                    self._waiting.remove(birth)
                    self._in_training[birth.id] = time.monotonic()
                    return birth
                self._condition.wait()
            return None

    def end(self, birth: Birth) -> None:
        """Notes that the training of a birth has ended."""
        with self._condition:
            del self._in_training[birth.id]
            self._condition.notify_all()

    def cancelled(self, birth: Birth) -> bool:
        """Returns True if a lane must drop its training. The call itself is a sign of life."""
        with self._condition:
            self._in_training[birth.id] = time.monotonic()
            return self._closed

    @property
    def silent_seconds(self) -> float:
        """Seconds since the last sign of life of the most silent training; 0 if none runs."""
        with self._condition:
            return time.monotonic() - min(self._in_training.values(), default=time.monotonic())

    def take_unknown(self, compilers: Sequence[Compiler]) -> Hashable | None:
        """Waits for an architecture of a birth that no thread has compiled or compiles, and returns it.

        It counts as being compiled until `compiled` is called. Returns None once the queue is closed.
        """
        with self._condition:
            while not self._closed:
                unknown = self._first_unknown(compilers)
                if unknown is not None:
                    self._compiling_ahead.append(unknown)
                    return unknown
                self._condition.wait()
            return None

    def compiled(self, compiled: Hashable) -> None:
        """Notes that an architecture from `take_unknown` is compiled; once dropped, it may be taken again."""
        with self._condition:
            self._compiling_ahead.remove(compiled)

    def _next_waiting(self, compiler: Compiler) -> Birth | None:
        """Returns the next birth for a lane, None if it must wait."""
        if not self._waiting or any(map(self._attempts.suspicious, self._in_training)):
            return None
        birth = self._first_compiled(compiler)
        return None if self._in_training and self._attempts.suspicious(birth.id) else birth

    def _first_compiled(self, compiler: Compiler) -> Birth:
        """Returns the first waiting birth that is compiled, else the first that no thread compiles yet.

        A lane that compiles keeps a core busy, one that waits for another thread's compilation does not.
        """
        unknown = None
        for birth in self._waiting:
            if compiler.has(birth.architecture):
                return birth
            if unknown is None and not compiler.knows(birth.architecture):
                unknown = birth
        return unknown or self._waiting[0]

    def _first_unknown(self, compilers: Sequence[Compiler]) -> Hashable | None:
        births = [*(birth.id for birth in self._waiting), *self._in_training]
        if any(map(self._attempts.suspicious, births)):
            return None
        # Those beyond would push programs out of memory that are needed before them.
        for birth in self._waiting[: compilers[0].capacity // 2]:
            compiled = birth.architecture
            known = compiled in self._compiling_ahead or any(compiler.knows(compiled) for compiler in compilers)
            if not known:
                return compiled
        return None
