"""The memory of a run: within a bound, however many architectures it compiles."""

import re
import subprocess
import sys

INDIVIDUALS = 200
ROW = re.compile(r"\| (\d+) \| [\d.]+ \| (\d+) \| (\d+) MiB \|")
PROGRAMS_IN_MEMORY = 4


def measured() -> list[tuple[int, int, int]]:
    """Returns individuals, programs made, and mebibytes, of every row."""
    arguments = ["--individuals", str(INDIVIDUALS), "--programs-in-memory", str(PROGRAMS_IN_MEMORY)]
    done = subprocess.run(
        [sys.executable, "-m", "experiments.memory", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [tuple(map(int, row)) for row in ROW.findall(done.stdout)]


def test_memory_does_not_grow_by_what_was_compiled():
    rows = measured()
    assert rows[-1][0] == INDIVIDUALS
    # The first compilations in every thread leave memory behind that the next ones use.
    first_made, first_memory = next((made, memory) for _, made, memory in rows if made > 40)
    _, made, memory = rows[-1]
    assert made - first_made >= 40
    # Programs that were kept would take more than twice as much.
    assert memory - first_memory < made - first_made
