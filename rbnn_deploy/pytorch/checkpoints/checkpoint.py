"""Reads and writes checkpoints in the format of the reference implementation.

A checkpoint is `torch.save` of a dict: `epoch`, `model` (the network's short name), `state_dict`,
`best_prec1`, `parameters`. Ours add `architecture` (the full name), `mean`, `std` and `class_names`, so that
a deployed model knows its images. The same can be a .safetensors file.

What training programs save around a state dict is unwrapped, and `LoadedNetwork.notes` says so. A checkpoint
is somebody else's file: no code of it is run, see `rbnn_deploy.pytorch.checkpoints.unpickler`.
"""

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rbnn_deploy.errors import UserError
from rbnn_deploy.files import atomic_write_bytes
from rbnn_deploy.pytorch.checkpoints import safetensors_file
from rbnn_deploy.pytorch.checkpoints.entries import class_names, numbers, text, whole_number
from rbnn_deploy.pytorch.checkpoints.reading import CheckpointFile, read_checkpoint_file
from rbnn_deploy.pytorch.checkpoints.state_dict import (
    State,
    describe_widened,
    find_state,
    fit_state,
    strip_compiled,
)
from rbnn_deploy.pytorch.checkpoints.stored_tensor import (
    NUMBERS,
    AnyTensor,
    StoredTensor,
    UnreadTensor,
    check_total,
)
from rbnn_deploy.pytorch.checkpoints.unpickler import printable
from rbnn_deploy.pytorch.folding.fold import unwrapped
from rbnn_deploy.pytorch.module_inputs import image_shape, images
from rbnn_deploy.pytorch.networks import Architecture
from rbnn_deploy.pytorch.networks.identify import identify
from rbnn_deploy.signature import TensorSpec

_LARGEST_ENTRY = 1 << 10  # bytes of a mean that is a tensor
_NAMED_CLASSES = 3


@dataclass(frozen=True, kw_only=True)
class LoadedNetwork:
    """A trained network, its inputs, and the facts that its checkpoint holds about it.

    Attributes:
        inputs: What its forward method takes, in its order.
        mean, std, resize: See `rbnn_deploy.input_image.InputImage`.
        module: The network in evaluation mode.
        architecture: Its full name in `rbnn_deploy.pytorch.networks`, or the class of a user's own.
        num_classes: Number of logits; None where a user's own network has no row of them per sample.
        class_names: Names in logit order, if known.
        sha256: Digest of the file.
        epoch: Epochs trained, if known.
        unused_keys: Keys of the state dict that the network has no use for.
        notes: What was unwrapped, left out or converted to load it, a sentence each.
    """

    inputs: tuple[TensorSpec, ...]
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    resize: int | None = None
    module: nn.Module
    architecture: str
    num_classes: int | None
    class_names: tuple[str, ...] | None
    sha256: str
    epoch: int | None
    unused_keys: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def input_shape(self) -> tuple[int, int, int] | None:
        """(C, H, W); None where the network does not take one batch of images."""
        return image_shape(self.inputs)


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
    file = read_checkpoint_file(path)
    try:
        state = find_state(file.content)
        check_kinds(state.tensors)
        hint = text(state.entries, "architecture", "model", "arch")
        state, (architecture, classes) = fit_state(state, lambda shapes: identify(shapes, arch, hint))
        check_total(state.tensors, len(file.data))
        with torch.device("meta"):
            module = architecture.builder(classes)
        tensors = read_state(module, state, file)
        module.to_empty(device="cpu").load_state_dict(tensors)
        family = architecture.family
        entries = read_entries(state, file)
        widened = describe_widened([value.dtype for value in tensors.values()])
        return LoadedNetwork(
            module=module.eval(),
            architecture=architecture.name,
            num_classes=classes,
            inputs=images(family.input_shape),
            mean=numbers(entries, "mean", len(family.mean)) or family.mean,
            std=numbers(entries, "std", len(family.std)) or family.std,
            resize=family.resize,
            class_names=class_names(entries, classes),
            sha256=hashlib.sha256(file.data).hexdigest(),
            epoch=whole_number(entries, "epoch"),
            unused_keys=tuple(key for key in state.tensors if key not in tensors),
            notes=(*state.notes, *_cautions(architecture), *widened, *describe_ignored(file)),
        )
    except UserError as error:
        raise UserError(f"cannot use checkpoint {path}: {error}") from None


def read_state(module: nn.Module, state: State, file: CheckpointFile) -> dict[str, Tensor]:
    """Reads the tensors of a state dict that a network uses.

    Args:
        module: The network; it need not have values.
        state: The state dict, with these names.
        file: The file that it is in.

    Returns:
        By name, each in the shape that the network has.

    Raises:
        UserError: One of them is not finite.
    """
    named = module.state_dict()
    shapes = {key: value.shape for key, value in named.items() if isinstance(value, Tensor)}
    used = {key: value for key, value in state.tensors.items() if key in shapes}
    tensors = {**_tensors_here(used), **file.read(used)}
    tensors = {key: value.reshape(shapes[key]) for key, value in tensors.items()}
    _check_values(tensors)
    return tensors


def check_kinds(tensors: Mapping[str, AnyTensor]) -> None:
    """Refuses tensors that a network cannot use.

    Args:
        tensors: Of any shape, by name.

    Raises:
        UserError: One of them is no plain tensor of real numbers.
    """
    for key, value in tensors.items():
        if (kind := _unusual_kind(value)) is not None:
            raise UserError(
                f"{printable(key)} is no plain tensor of real numbers (it is {kind}); save it as float32"
            )


def read_entries(state: State, file: CheckpointFile) -> dict[Any, Any]:
    """Returns what was saved around a state dict; mean and std also where they are tensors."""
    return {**state.entries, **file.read(_tensors(state.entries, "mean", "std"))}


def _tensors_here(tensors: Mapping[str, AnyTensor]) -> dict[str, Tensor]:
    return {key: value for key, value in tensors.items() if isinstance(value, Tensor)}


def _tensors(entries: Mapping[Any, Any], *keys: str) -> dict[str, AnyTensor]:
    """Returns those entries that are tensors of a size that a list of channels has."""
    return {
        key: value
        for key in keys
        if isinstance(value := entries.get(key), StoredTensor)
        and value.dtype in NUMBERS
        and value.nbytes <= _LARGEST_ENTRY
    }


def _unusual_kind(value: AnyTensor) -> str | None:
    if isinstance(value, UnreadTensor):
        return value.kind
    if isinstance(value, Tensor) and (value.layout != torch.strided or value.is_quantized or value.is_meta):
        return "sparse, quantised or without values"
    return None if value.dtype in NUMBERS else str(value.dtype).removeprefix("torch.")


def _cautions(architecture: Architecture) -> tuple[str, ...]:
    taken = f"it was taken as {architecture.name}, though {architecture.look_alikes}"
    notes = (taken if architecture.look_alikes else "", architecture.caution)
    return tuple(note for note in notes if note)


def describe_ignored(file: CheckpointFile) -> tuple[str, ...]:
    """Says which objects in a file were not loaded."""
    if not file.ignored:
        return ()
    names = ", ".join(file.ignored[:_NAMED_CLASSES]) + (", ..." if len(file.ignored) > _NAMED_CLASSES else "")
    return (f"its objects of {names} were left out, because loading them could run code",)


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
    input_shape: Sequence[int] | None = None,
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
        input_shape: (C, H, W); likewise.
        **extra: More entries, of types that `weights_only` loads: numbers, strings, tensors, lists, dicts.

    Raises:
        UserError: The file cannot be written.
    """
    state = _on_cpu(module)
    content: dict[str, Any] = {
        **_entries(architecture, epoch, best_accuracy, mean, std, class_names, input_shape),
        "state_dict": state,
        # The same tensors once more; torch.save writes them once.
        "parameters": [state[strip_compiled(name)] for name, _ in unwrapped(module).named_parameters()],
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
    input_shape: Sequence[int] | None = None,
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
        input_shape: (C, H, W).
        **extra: More entries, of types that JSON can hold.

    Raises:
        UserError: The file cannot be written.
    """
    entries = extra | _entries(architecture, epoch, best_accuracy, mean, std, class_names, input_shape)
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
        strip_compiled(key): value.detach().cpu().contiguous()
        for key, value in unwrapped(module).state_dict().items()
        if isinstance(value, Tensor)
    }


def _entries(
    architecture: str,
    epoch: int,
    best_accuracy: float,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    class_names: Sequence[str] | None,
    input_shape: Sequence[int] | None,
) -> dict[str, Any]:
    """Returns the entries of a checkpoint beside its tensors, as far as they are known."""
    lists = {"mean": mean, "std": std, "class_names": class_names, "input_shape": input_shape}
    return {
        "epoch": epoch,
        "model": architecture.rpartition("/")[2],
        "best_prec1": best_accuracy,
        "architecture": architecture,
        **{name: list(values) for name, values in lists.items() if values is not None},
    }


def _check_values(state: Mapping[str, Tensor]) -> None:
    for key, value in state.items():
        if not torch.isfinite(value).all():
            raise UserError(
                f"{key} holds values that are not finite; the training diverged, use an earlier epoch"
            )
        if key.endswith("running_var") and (value < 0).any():
            raise UserError(f"{key} holds negative variances; the file is damaged, copy it again")
