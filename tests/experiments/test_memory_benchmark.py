"""The benchmark of memory prints what a process holds."""

import re

from experiments.benchmarks import memory


def test_the_experiment_prints_what_a_process_holds(capsys):
    assert memory.main(["--individuals", "20", "--programs-in-memory", "1"]) == 0
    rows = re.findall(
        r"^\| (\d+) \| [\d.]+ \| (\d+) \| (\d+) MiB \| (\d+) MiB \|$", capsys.readouterr().out, re.MULTILINE
    )
    assert [int(individuals) for individuals, *_ in rows] == list(range(1, 21))
    assert all(20 < int(allocated) < int(memory) for *_, memory, allocated in rows)
