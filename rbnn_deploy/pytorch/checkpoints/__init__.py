"""Checkpoints as files: PyTorch's own format, as the reference implementation writes it, and .safetensors."""
