"""The checkpoint that a command was given."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rbnn_deploy.cli.output import note

if TYPE_CHECKING:
    from rbnn_deploy.pytorch.checkpoints.checkpoint import LoadedNetwork


def load_network(checkpoint: Path, arch: str | None) -> LoadedNetwork:
    """Loads a checkpoint, and says on standard error what was unwrapped or left out of it.

    Raises:
        UserError: See `rbnn_deploy.api.load_checkpoint`.
    """
    from rbnn_deploy import api

    network = api.load_checkpoint(checkpoint, arch)
    for text in network.notes:
        note(f"note: {checkpoint}: {text}")
    return network
