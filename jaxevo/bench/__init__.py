"""Benchmark a machine: `jaxevo bench` measures how fast it runs jaxevo in a few minutes.

Each part is measured in a process of its own, with nothing in memory and its own cache of executables, as empty as the
part needs. The user's cache is neither read nor written. The user's process only waits and prints.
"""
