"""The evolutionary algorithm: births, selection and the order of events. Plain Python and NumPy."""
