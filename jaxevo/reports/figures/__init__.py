"""Figures for a two-column page, drawn with matplotlib: only this package knows it."""
