"""The algorithm: who dies, who reproduces, what is told when. Plain Python and NumPy."""
