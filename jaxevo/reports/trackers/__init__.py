"""Log runs to TensorBoard and Weights & Biases, which are extras."""
