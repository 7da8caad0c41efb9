"""TensorBoard's files, for those who have it."""

import importlib.util
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.training.run.results import EpochResult


def open_writer(folder: Path, wanted: bool | None, epochs_done: int) -> Any | None:
    """Opens a writer of TensorBoard's files.

    Args:
        folder: Where they are written.
        wanted: None for only where TensorBoard is installed.
        epochs_done: The epochs that it already has and keeps; later epochs of an interrupted run are hidden.

    Returns:
        A `torch.utils.tensorboard.SummaryWriter`, or None.

    Raises:
        UserError: It is wanted and not installed.
    """
    if wanted is False or (wanted is None and importlib.util.find_spec("tensorboard") is None):
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - slow to import, and optional
    except ImportError:
        raise UserError("TensorBoard is not installed; run: pip install tensorboard") from None
    return SummaryWriter(folder, purge_step=epochs_done + 1)


def write_result(writer: Any, result: EpochResult) -> None:
    """Writes every number of an epoch."""
    for name, value in asdict(result).items():
        if name != "epoch" and value is not None:
            writer.add_scalar(name, value, result.epoch)
    writer.flush()
