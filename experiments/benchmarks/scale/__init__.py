"""How far the host loop scales, and how long lanes wait for the virtual clock: with a trainer that trains nothing.

    python -m experiments.benchmarks.scale

prints every table in about ten minutes on two cores; `--quick` a few rows of each in a minute. The lanes live in
simulated time, the rest is real: host loop, evolution, journal, snapshots. A real run's times are fitted anew by

    python -m jaxevo run --preset demo --max-individuals 150 --workdir runs/scale-fit
    python -m experiments.benchmarks.scale --fit runs/scale-fit

Expected: at least 2,000 events a second at population 1,000; an event at population 100,000 at no more than four times
that cost; lanes that wait less than 2 % with four births in flight a lane at sigma 0.3. The tables of a run stand in
experiments/README.md.
"""
