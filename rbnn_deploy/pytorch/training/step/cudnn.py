"""Settings of cuDNN, which are PyTorch's and not a module's, changed for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def cudnn_setting(name: str, value: bool) -> Iterator[None]:
    """Sets an attribute of `torch.backends.cudnn`, and sets it back afterwards."""
    before = getattr(torch.backends.cudnn, name)
    setattr(torch.backends.cudnn, name, value)
    try:
        yield
    finally:
        setattr(torch.backends.cudnn, name, before)
