"""Reads and writes checkpoints in the format of the reference implementation.

A checkpoint is `torch.save` of a dict: `epoch`, `model` (the network's short name), `state_dict`,
`best_prec1`, `parameters`. Ours add `architecture` (the full name), `mean`, `std` and `class_names`, so that
a deployed model knows its images. The same can be a .safetensors file.

A checkpoint is somebody else's file: it is read with `weights_only=True`, which runs no code, or refused.
"""

import hashlib
import io
import pickle
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rbnn_deploy.errors import UserError
from rbnn_deploy.files import atomic_write_bytes
from rbnn_deploy.input_image import InputImage
from rbnn_deploy.pytorch.checkpoints import safetensors_file
from rbnn_deploy.pytorch.networks.identify import identify

_PARALLEL_PREFIX = "module."  # nn.DataParallel puts it before every key


@dataclass(frozen=True, kw_only=True)
class LoadedNetwork(InputImage):
    """A trained network, its images, and the facts that its checkpoint holds about it.

    Attributes:
        module: The network in evaluation mode.
        architecture: Its full name in `rbnn_deploy.pytorch.networks`.
        num_classes: Number of logits.
        class_names: Names in logit order, if known.
        sha256: Digest of the file.
        epoch: Epochs trained, if known.
        unused_keys: Keys of the state dict that the network has no use for.
    """

    module: nn.Module
    architecture: str
    num_classes: int
    class_names: tuple[str, ...] | None
    sha256: str
    epoch: int | None
    unused_keys: tuple[str, ...]


def load_checkpoint(path: str | Path, arch: str | None = None) -> LoadedNetwork:
    """Loads a checkpoint; its architecture and number of classes are read off its tensors.

    Args:
        path: File that `torch.save` wrote: a checkpoint, or a state dict alone; or a .safetensors file.
        arch: Name of the network, where the tensors alone do not tell.

    Raises:
        UserError: The file is missing, no checkpoint, damaged, or could only be loaded by running code in it;
            its tensors fit no network, or several, or not the one named; a tensor is not finite.
    """
    path = Path(path)
    data = _read(path)
    content = (
        safetensors_file.load(path, data) if safetensors_file.is_safetensors(data) else _unpickle(path, data)
    )
    try:
        state = _state_dict(content)
        shapes = {key: tuple(value.shape) for key, value in state.items()}
        architecture, classes = identify(
            shapes, arch, _text(content, "architecture") or _text(content, "model")
        )
        _check_values(state)
        with torch.device("meta"):
            module = architecture.builder(classes)
        module.to_empty(device="cpu")
        used = module.state_dict().keys()
        module.load_state_dict({key: value for key, value in state.items() if key in used})
        family = architecture.family
        epoch = content.get("epoch")
        return LoadedNetwork(
            module=module.eval(),
            architecture=architecture.name,
            num_classes=classes,
            input_shape=family.input_shape,
            mean=_numbers(content, "mean", family.mean),
            std=_numbers(content, "std", family.std),
            resize=family.resize,
            class_names=_class_names(content, classes),
            sha256=hashlib.sha256(data).hexdigest(),
            epoch=epoch if isinstance(epoch, int) else None,
            unused_keys=tuple(key for key in state if key not in used),
        )
    except UserError as error:
        raise UserError(f"cannot use checkpoint {path}: {error}") from None


def save_checkpoint(
    path: Path,
    module: nn.Module,
    architecture: str,
    *,
    epoch: int,
    best_accuracy: float,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    class_names: Sequence[str] | None = None,
    **extra: Any,
) -> None:
    """Writes a checkpoint that this module, and the reference implementation, can read.

    Args:
        path: Target; it is replaced once the new file is complete.
        module: The network.
        architecture: Its full name in `rbnn_deploy.pytorch.networks`; a module of another name can be saved,
            but only `torch.load` reads it back.
        epoch: Epochs trained.
        best_accuracy: Best top-1 accuracy so far, in percent.
        mean: Of the images that it was trained on, per channel; None where that is unknown.
        std: Likewise.
        class_names: Names in logit order; likewise.
        **extra: More entries, of types that `weights_only` loads: numbers, strings, tensors, lists, dicts.

    Raises:
        UserError: The file cannot be written.
    """
    state = _on_cpu(module)
    content: dict[str, Any] = {
        **_entries(architecture, epoch, best_accuracy, mean, std, class_names),
        "state_dict": state,
        # The same tensors once more; torch.save writes them once.
        "parameters": [state[name] for name, _ in module.named_parameters()],
        **extra,
    }
    atomic_write_bytes(path, saved_bytes(content))


def save_safetensors(
    path: Path,
    module: nn.Module,
    architecture: str,
    *,
    epoch: int,
    best_accuracy: float,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    class_names: Sequence[str] | None = None,
    **extra: Any,
) -> None:
    """Writes the state dict as a .safetensors file, and the other entries of a checkpoint as its metadata.

    Args:
        path: See `save_checkpoint`, as for all others.
        module: The network.
        architecture: Its name.
        epoch: Epochs trained.
        best_accuracy: In percent.
        mean: Per channel.
        std: Likewise.
        class_names: In logit order.
        **extra: More entries, of types that JSON can hold.

    Raises:
        UserError: The file cannot be written.
    """
    entries = extra | _entries(architecture, epoch, best_accuracy, mean, std, class_names)
    safetensors_file.save(path, _on_cpu(module), entries)


def saved_bytes(content: Any) -> bytes:
    """Returns the bytes of torch.save, which itself turns a full disk into an internal error."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def _on_cpu(module: nn.Module) -> dict[str, Tensor]:
    """Returns a state dict that a machine without a GPU loads, in the layout of new tensors.

    State that modules keep beside tensors (`get_extra_state`) is left out: neither format has a place for it.
    """
    return {
        key: value.detach().cpu().contiguous()
        for key, value in module.state_dict().items()
        if isinstance(value, Tensor)
    }


def _entries(
    architecture: str,
    epoch: int,
    best_accuracy: float,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    class_names: Sequence[str] | None,
) -> dict[str, Any]:
    """Returns the entries of a checkpoint beside its tensors, as far as they are known."""
    lists = {"mean": mean, "std": std, "class_names": class_names}
    return {
        "epoch": epoch,
        "model": architecture.rpartition("/")[2],
        "best_prec1": best_accuracy,
        "architecture": architecture,
        **{name: list(values) for name, values in lists.items() if values is not None},
    }


def _read(path: Path) -> bytes:
    if path.is_dir():
        raise UserError(f"{path} is a folder; name the checkpoint file in it")
    if not path.exists():
        raise UserError(f"{path} does not exist; check the path of the checkpoint")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check the file and its permissions") from None
    if not data:
        raise UserError(f"{path} is empty; download or train the checkpoint again")
    return data


def _unpickle(path: Path, data: bytes) -> Mapping[str, Any]:
    try:
        with warnings.catch_warnings(action="ignore"):  # about files that are then refused
            content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # on bytes that it did not write, torch.load raises nearly anything
        raise UserError(f"{path} {_refusal(data, error)}") from None
    if not isinstance(content, Mapping):
        raise UserError(f"{path} holds a {type(content).__name__}, not a checkpoint; save a state dict in it")
    return content


def _refusal(data: bytes, error: Exception) -> str:
    """Says why torch.load failed; its own messages advise to run the file's code."""
    if isinstance(error, MemoryError):
        return "does not fit into memory; use a machine with more"
    if isinstance(error, pickle.UnpicklingError) and (found := re.search(r"GLOBAL ([\w.]+)", str(error))):
        return (
            f"is refused, because loading its {found[1]} would run code from the file; "
            "save the state dict alone and use that"
        )
    if "TorchScript" in str(error):
        return "is a TorchScript program; save the network's state dict instead"
    if data.startswith((b"PK\x03\x04", b"\x80\x02\x8a\x0a")):  # torch.save's zip and its older format
        return "is damaged or incomplete; download or copy it again"
    if data.startswith(b"\x80"):  # the first byte of every pickle since protocol 2
        return (
            "is a pickle that cannot be loaded without the risk of running its code; "
            "save the state dict with torch.save and use that"
        )
    return "is not a checkpoint; name a file that torch.save wrote"


def _state_dict(content: Mapping[str, Any]) -> dict[str, Tensor]:
    state = content.get("state_dict", content)
    if not isinstance(state, Mapping) or not state:
        raise UserError("it has no state dict; save one under the key 'state_dict'")
    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise UserError(f"entry {key!r} of its state dict is no tensor; save module.state_dict()")
    return {key.removeprefix(_PARALLEL_PREFIX): value for key, value in state.items()}


def _check_values(state: Mapping[str, Tensor]) -> None:
    for key, value in state.items():
        if value.layout != torch.strided or value.is_complex() or value.is_quantized:
            raise UserError(f"{key} is no plain tensor of real numbers; save it as float32")
        if not torch.isfinite(value).all():
            raise UserError(
                f"{key} holds values that are not finite; the training diverged, use an earlier epoch"
            )
        if key.endswith("running_var") and (value < 0).any():
            raise UserError(f"{key} holds negative variances; the file is damaged, copy it again")


def _text(content: Mapping[str, Any], key: str) -> str | None:
    value = content.get(key)
    return value if isinstance(value, str) else None


def _numbers(content: Mapping[str, Any], key: str, default: tuple[float, ...]) -> tuple[float, ...]:
    value = content.get(key)
    if value is None or isinstance(value, Tensor):  # a tensor is a parameter of a bare state dict
        return default
    if (
        not isinstance(value, list)
        or len(value) != len(default)
        or not all(isinstance(v, float) for v in value)
    ):
        raise UserError(f"its entry {key!r} must be {len(default)} numbers, one per channel; train it again")
    return tuple(value)


def _class_names(content: Mapping[str, Any], classes: int) -> tuple[str, ...] | None:
    names = content.get("class_names")
    if names is None:
        return None
    if (
        not isinstance(names, list)
        or len(names) != classes
        or not all(isinstance(name, str) for name in names)
    ):
        raise UserError(f"its entry 'class_names' must be {classes} strings, one per class; train it again")
    return tuple(names)
