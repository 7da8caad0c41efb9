"""One training step: the optimizer, mixed precision, compilation, and where tensors are placed."""
