"""Measures the worth of each part of the preset `small`, by removing it, over paired seeds.

    apt-get install dataset-fashion-mnist
    python -m experiments.levers --cores 0 1
    python -m experiments.levers --controls --cores 0 1

Every arm evolves on fashion_mini with one lane on one core for 120 CPU seconds, counted from the start of its process
and with an empty cache of executables. The finish is left out, since it would be the same for all. The best individual
by validation is scored on the 9,000 Fashion-MNIST test images that fashion_mini does not have. A seed gives one pair:
the default, and the default without a part, or with early stopping, which is no part of it. Printed are mean
differences over the pairs, in points of accuracy, with 95 % intervals, and the p-values of the exact sign-flip test.

With `--controls` the default is compared with random selection, with no inheritance and with the old default, after
120 CPU seconds, and after as many FLOPs as the default of the same seed took in them.

Each finished row is appended to runs/levers.jsonl (`--results`) and is not run again; to go on after Ctrl-C, give the
same command. Keep a file for each machine and version: rows of different ones are no pairs. Seven arms of ten seeds
take about 75 minutes on two cores, the controls an hour more, and longer where FLOPs take long. `--cpu-seconds 10
--seeds 0 1` shows in a few minutes that it works.
"""
