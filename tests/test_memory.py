"""The memory of a run: within a bound, however many architectures it compiles."""

import re
import subprocess
import sys

INDIVIDUALS = 300
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
    *_, (_, made, memory) = rows
    first_made, first_memory = next((made, memory) for _, made, memory in rows if made > 4 * PROGRAMS_IN_MEMORY)
    assert made - first_made >= 50
    # Programs of that many architectures that were kept would be 5 MB each at least.
    assert (memory - first_memory) < (made - first_made)
