"""Turns options into torch's own terms: a device, a layout, a type."""

import os

import torch

from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.training.options import TrainingOptions

_DEVICES = ("cpu", "cuda")
_AMP_TYPES = {None: None, "bf16": torch.bfloat16}


def torch_device(options: TrainingOptions) -> torch.device:
    """Returns the device that this process trains on.

    Raises:
        UserError: There is no such device here.
    """
    name = options.device
    if name == "cuda":
        # torchrun numbers the processes of a machine; without it there is one.
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        raise UserError(f"there is no device {name!r} here; use cpu") from None
    if device.type not in _DEVICES:
        raise UserError(f"training runs on {' and '.join(_DEVICES)}, not on {name!r}; use one of them")
    return device


def memory_format(options: TrainingOptions, device: torch.device) -> torch.memory_format:
    """Returns the layout of activations on a device."""
    channels_last = device.type == "cuda" if options.channels_last is None else options.channels_last
    return torch.channels_last if channels_last else torch.contiguous_format


def amp_type(options: TrainingOptions) -> torch.dtype | None:
    """Returns the type that autocast computes in; None for no autocast."""
    return _AMP_TYPES[options.amp]
