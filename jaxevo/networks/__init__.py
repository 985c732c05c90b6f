"""One individual grown: compiled programs, training, evaluation, devices."""
