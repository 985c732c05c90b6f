"""Experiments: one short config each, whose docstring is its lab note, run by one entry point."""
