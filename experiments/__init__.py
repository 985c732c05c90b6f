"""Experiments: one short config each, with its lab note as docstring, and one entry point for all."""
