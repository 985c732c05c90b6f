"""Scaling of the host loop, and the time that lanes wait for the virtual clock, with a simulated trainer.

    python -m experiments.benchmarks.scale

prints every table in about ten minutes on two cores; `--quick` prints a few rows of each in a minute. Trainings take
simulated time; host loop, evolution, journal and snapshots are real. To fit the times to a real run again:

    python -m jaxevo run --dataset digits --train-steps 300 --max-individuals 150 --finish-share none \
        --workdir runs/scale-fit
    python -m experiments.benchmarks.scale --fit runs/scale-fit

Expected: at least 2,000 events a second at population 1,000; an event at population 100,000 at no more than four times
that cost; lanes that wait less than 2 % with four births in flight a lane at sigma 0.3. For results see
docs/scale.md.
"""
