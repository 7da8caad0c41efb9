"""Checkpoints as .safetensors files: tensors behind a JSON header, nothing that could run.

The header's metadata are strings; they hold a checkpoint's other values as JSON.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from rbnn_deploy.errors import UserError
from rbnn_deploy.files import atomic_write_bytes

METADATA = "__metadata__"
_LENGTH = 8  # bytes of the header's length, little-endian
_STRINGS = ("architecture", "model")
_JSON = ("epoch", "best_prec1", "best_prec5", "mean", "std", "class_names", "input_shape")


def save(path: Path, state: Mapping[str, Tensor], entries: Mapping[str, Any]) -> None:
    """Writes a state dict with the other entries of its checkpoint.

    Args:
        path: Target; it is replaced once the new file is complete.
        state: Contiguous tensors on the CPU.
        entries: Of the names that `load` reads back.

    Raises:
        UserError: The file cannot be written, or safetensors is not installed.
    """
    metadata = {key: value if key in _STRINGS else json.dumps(value) for key, value in entries.items()}
    # A clone each: shared weights are one tensor under two names, which the format does not have.
    tensors = {key: value.clone() for key, value in state.items()}
    content: bytes = _library().torch.save(tensors, {"format": "pt", **metadata})
    atomic_write_bytes(path, _with_sorted_metadata(content))


def load(path: Path, data: bytes) -> dict[str, Any]:
    """Returns entries and a state dict, as `checkpoint` finds them in a checkpoint of torch.

    Args:
        path: Of the file, for messages.
        data: Its content.

    Raises:
        UserError: It is damaged, or safetensors is not installed.
    """
    library = _library()
    try:
        state = library.torch.load(data)
        length = int.from_bytes(data[:_LENGTH], "little")
        metadata = json.loads(data[_LENGTH : _LENGTH + length]).get(METADATA, {})
        entries = {key: json.loads(metadata[key]) for key in _JSON if key in metadata}
    except Exception:  # on bytes that it did not write, the library raises nearly anything
        raise UserError(f"{path} is damaged or incomplete; download or copy it again") from None
    return {**entries, **{key: metadata[key] for key in _STRINGS if key in metadata}, "state_dict": state}


def _with_sorted_metadata(data: bytes) -> bytes:
    """Orders the metadata, which the library does at random, so that equal weights are equal files."""
    length = int.from_bytes(data[:_LENGTH], "little")
    header = json.loads(data[_LENGTH : _LENGTH + length])
    header[METADATA] = dict(sorted(header[METADATA].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _LENGTH)  # the tensors begin at a multiple of 8
    return len(text).to_bytes(_LENGTH, "little") + text + data[_LENGTH + length :]


def _library() -> Any:
    try:
        import safetensors.torch  # noqa: PLC0415 - of the extra `train`
    except ImportError:
        raise UserError("safetensors is not installed; run: pip install 'rbnn-deploy[train]'") from None
    return safetensors
