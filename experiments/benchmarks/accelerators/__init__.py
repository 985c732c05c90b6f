"""Compiles jaxevo's own programs for TPUs and a GPU that are not there, with the compilers that those machines use.

    .ci/accelerators                                # makes .venv-accelerators, and runs the tests of this package
    .venv-accelerators/bin/python -m experiments.benchmarks.accelerators --targets v5e H100 --types float32 --devices 1
    .venv-accelerators/bin/python -m experiments.benchmarks.accelerators

The last line is the whole matrix: five targets, two number types, one and four devices, twelve genotypes, some three
hours of one core. Every row is kept in a file as soon as it is known, and a later start goes on from there. Prints a
table of processor seconds to compile, code, memory, FLOPs, and the operations and estimated cycles of a training step.
Needs no accelerator: `libtpu` and JAX's CUDA plugin compile for described devices. For results see
docs/accelerators.md.
"""
