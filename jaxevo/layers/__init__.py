"""Layers written by hand, for speed: batch normalisation and, on CPU, convolutions."""
