"""The folder of a training: its checkpoints, its log, and the state from which it can be resumed."""

import io
import json
from pathlib import Path
from typing import Any

import torch

from rbnn_deploy.errors import UserError
from rbnn_deploy.files import atomic_write_bytes
from rbnn_deploy.pytorch.checkpoints.checkpoint import saved_bytes
from rbnn_deploy.pytorch.training.run.state import VERSION, Identity, State

LAST, BEST, LOG, STATE = "last.pt", "best.pt", "log.jsonl", "state.pt"
SAFETENSORS = ".safetensors"  # the suffix of the same weights in that format
TENSORBOARD = "tensorboard"
_FILES = (STATE, LOG, *(file for name in (LAST, BEST) for file in (name, Path(name).stem + SAFETENSORS)))


class RunFolder:
    """The folder of a training; only the main process has one. Files in it are replaced, never changed.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self, identity: Identity, resume: bool, overwrite: bool) -> State | None:
        """Makes the folder if it is missing.

        Args:
            identity: Of the training.
            resume: Continue the run in it, if there is one.
            overwrite: Begin again, whatever is in it.

        Returns:
            The state to continue from; None to begin.

        Raises:
            UserError: A run is in it and neither is wanted, its state cannot be read or belongs to another
                training, or there can be no such folder.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            return self._open(identity, resume, overwrite)
        except OSError as error:
            raise UserError(
                f"cannot use the folder {self.path}: {error.strerror or error}; choose another"
            ) from None

    def _open(self, identity: Identity, resume: bool, overwrite: bool) -> State | None:
        present = [path for name in _FILES if (path := self.path / name).exists()]
        if present and not (resume or overwrite or self._is_unbegun(present)):
            raise UserError(
                f"{self.path} holds a training already; continue it with --resume, replace it with "
                "--overwrite, or name another folder"
            )
        for name in _FILES:  # left by a process that was killed while it wrote
            for partial in self.path.glob(f".{name}.*.partial"):
                partial.unlink(missing_ok=True)
        if not present or not resume:
            for path in present:
                path.unlink()
            return None
        state = self._read_state()
        try:
            identity.check(state["identity"])
        except UserError as error:
            raise UserError(f"cannot continue the training in {self.path}: {error}") from None
        return state

    def write_state(self, state: State) -> None:
        """Replaces the state.

        Raises:
            UserError: See `rbnn_deploy.files.atomic_write`.
        """
        atomic_write_bytes(self.path / STATE, saved_bytes({"version": VERSION, **state}))

    def write_log(self, head: dict[str, Any], history: list[dict[str, Any]]) -> None:
        """Replaces the log: one line about the training, then one per epoch.

        Raises:
            UserError: See `rbnn_deploy.files.atomic_write`.
        """
        text = "".join(json.dumps(line) + "\n" for line in (head, *history))
        atomic_write_bytes(self.path / LOG, text.encode())

    def _is_unbegun(self, present: list[Path]) -> bool:
        """Whether the folder holds no more than the state in front of the first step."""
        if present != [self.path / STATE]:
            return False
        try:
            state = self._read_state()
        except UserError:
            return False
        return bool(state["epoch"] == state["step"] == 0)

    def _read_state(self) -> State:
        path = self.path / STATE
        if not path.exists():
            raise UserError(f"{self.path} has no {STATE} to resume from; train into another folder")
        data = path.read_bytes()
        try:
            state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
            known = state["version"] == VERSION and isinstance(state["identity"], dict)
        except Exception:  # on bytes that it did not write, torch.load raises nearly anything
            raise UserError(f"{path} is damaged; train into another folder") from None
        if not known:
            raise UserError(f"{path} is of another version of rbnn-deploy; finish it with that version")
        return dict(state)
