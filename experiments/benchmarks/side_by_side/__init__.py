"""jaxevo beside a plain Flax loop, PyTorch, PyGlove and Ray Tune: the same genotypes, steps, batches and images.

    pip install -e '.[peers]' -c constraints.txt
    python -m experiments.benchmarks.side_by_side

prints individuals an hour and their ratios; it takes about 45 minutes on two quiet cores, `--quick` two minutes. Every
side runs in a process of its own, sides in turn, several rounds; medians are printed. What each side is, and what it
came to, stands in experiments/README.md; `experiments.benchmarks.side_by_side.record` records the genotypes.

Wanted on two CPU cores, in every bucket: at least 2 times the plain Flax loop in short trainings and 1.3 times in long
ones; beside the better way to run PyTorch, 0.5 in short trainings, and in long ones 1.0 with small networks and 0.75
with others.
"""
