"""rbnn-deploy: rotated binary neural networks, from a checkpoint to a real device."""

__version__ = "0.1.0"
