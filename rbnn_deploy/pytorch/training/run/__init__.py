"""One training from its first epoch to its last: the loop, its state and folder, and its logs."""
