"""Reads the file of a checkpoint, whatever its format, into what was saved; runs nothing that it names."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from rbnn_deploy.errors import UserError
from rbnn_deploy.files import read_regular_file
from rbnn_deploy.pytorch.checkpoints import safetensors_file
from rbnn_deploy.pytorch.checkpoints.formats import (
    LEGACY_START,
    PICKLE_START,
    ZIP_START,
    is_safetensors,
)
from rbnn_deploy.pytorch.checkpoints.stored_tensor import AnyTensor, StoredTensor
from rbnn_deploy.pytorch.checkpoints.torch_file import open_torch_file
from rbnn_deploy.pytorch.checkpoints.unpickler import RefusedError, StandIn


@dataclass(frozen=True)
class CheckpointFile:
    """What the file of a checkpoint holds.

    Attributes:
        data: Its bytes.
        content: What was saved: a dict, with tensors or descriptions of them.
        ignored: Names of classes whose objects were not loaded.
        read: Reads the tensors that descriptions describe.
    """

    data: bytes
    content: Mapping[Any, Any]
    ignored: tuple[str, ...]
    read: Callable[[Mapping[str, AnyTensor]], dict[str, Tensor]]


def read_checkpoint_file(path: Path) -> CheckpointFile:
    """Reads a file that torch.save wrote, in any of its formats, or a .safetensors file.

    Raises:
        UserError: The file is missing, no checkpoint, damaged, or names what would run code.
    """
    data = read_regular_file(path, "the checkpoint")
    if not data:
        raise UserError(f"{path} is empty; download or train the checkpoint again")
    if is_safetensors(data, len(data)):
        return CheckpointFile(data, safetensors_file.load(path, data), (), _tensors_only)
    if not data.startswith((ZIP_START, PICKLE_START)):
        raise UserError(f"{path} is not a checkpoint; name a file that torch.save wrote")
    try:
        file = open_torch_file(data)
    except UserError as error:
        raise UserError(f"cannot use checkpoint {path}: {error}") from None
    except RefusedError as error:
        raise _runs_code(path, str(error)) from None
    except MemoryError:
        raise UserError(f"{path} does not fit into memory; use a machine with more") from None
    except Exception:  # on bytes that torch.save did not write, the unpickler raises nearly anything
        raise UserError(f"{path} {_damage(data)}") from None
    if isinstance(file.content, StandIn):
        raise _runs_code(path, file.content.name)
    if not isinstance(file.content, Mapping):
        raise UserError(
            f"{path} holds a {type(file.content).__name__}, not a checkpoint; save a state dict in it"
        )

    def read(tensors: Mapping[str, AnyTensor]) -> dict[str, Tensor]:
        return file.read(
            {name: tensor for name, tensor in tensors.items() if isinstance(tensor, StoredTensor)}
        )

    return CheckpointFile(data, file.content, file.ignored, read)


def _tensors_only(tensors: Mapping[str, AnyTensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if isinstance(tensor, Tensor)}


def _runs_code(path: Path, name: str) -> UserError:
    return UserError(
        f"{path} is refused, because loading its {name} would run code from the file; "
        "save the state dict alone and use that"
    )


def _damage(data: bytes) -> str:
    if data.startswith((ZIP_START, LEGACY_START)):
        return "is damaged or incomplete; download or copy it again"
    return (
        "is a pickle that cannot be loaded without the risk of running its code; "
        "save the state dict with torch.save and use that"
    )
