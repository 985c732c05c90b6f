"""Networks: compilation, training, evaluation, devices."""
