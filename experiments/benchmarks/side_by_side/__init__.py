"""jaxevo beside a plain Flax loop, PyTorch, PyGlove and Ray Tune: the same genotypes, steps, batches and images.

    pip install -e '.[peers]' -c constraints.txt
    python -m experiments.benchmarks.side_by_side

prints individuals an hour and their ratios, in about 45 minutes on two quiet cores; `--quick` takes two minutes. Every
side runs in a process of its own, sides in turn, for several rounds; the medians are printed. For the sides and results
see docs/benchmarks.md. `experiments.benchmarks.side_by_side.record` records the genotypes.

Targets on two CPU cores, in every bucket: at least 2 times the plain Flax loop in short trainings and 1.3 times in long
ones; of the better way to run PyTorch at least 0.5 times in short trainings, and in long ones 1.0 times with small
networks and 0.75 times with others.

`--regimes wide --sides jaxevo torch` measures training steps alone, of networks with 8 to 128 channels
(`experiments.benchmarks.side_by_side.wide`), in 10 minutes. Target: 0.9 of PyTorch's images a second everywhere.
"""
