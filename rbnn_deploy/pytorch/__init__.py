"""All that needs PyTorch: layers, networks, checkpoints, folding, training. A device imports none of it."""
