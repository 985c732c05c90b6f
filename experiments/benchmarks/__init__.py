"""Programs that measure: each is run by `python -m experiments.benchmarks.NAME`."""
