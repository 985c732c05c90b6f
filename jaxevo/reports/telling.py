"""What is told of a run while it evolves, in lines of text."""

import itertools

from jaxevo.reports.pace import clock_text
from jaxevo.search.population import Individual
from jaxevo.session.progress import Progress

_FACTS = 3
"""Number of facts about the genotype of a new best individual."""


class Bests:
    """Notices new best individuals."""

    def __init__(self) -> None:
        """Knows none yet."""
        self._best: Individual | None = None

    def line(self, progress: Progress) -> str | None:
        """Returns a line about the best individual if it is new: its accuracy and the mutation that made it."""
        best = progress.state.best
        if best is None or best == self._best:
            return None
        self._best = best
        summary = progress.space.summary(best.genotype, progress.task)
        facts = [f"{name.replace('_', ' ')} {value}" for name, value in itertools.islice(summary.items(), _FACTS)]
        made = f"child of {best.parent_id} by {best.mutation}" if best.mutation is not None else "initial"
        return (
            f"{clock_text(progress.session_seconds):>6}  individual {best.id}: {best.accuracy:.1%}, "
            f"{', '.join(facts)}, {made}"
        )


def speed_text(progress: Progress) -> str:
    """Returns the speed of a session: individuals an hour, lanes that are busy, and the share of compiling."""
    return (
        f"{progress.individuals_per_hour:,.0f}/hour, {progress.busy_lanes} of {progress.lanes} lanes busy, "
        f"compiling {progress.compile_share:.0%}"
    )
