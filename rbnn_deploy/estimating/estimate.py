"""Estimates what a deployed model costs on devices, from its counts and the table of `devices`.

    time = (binary MACs / binary + float MACs / real + elements x element) / clock + nodes x node

once with the slow end of each range and once with the fast end. Elements are the floats that binary layers
read and write, and the sums that they compare where they pass bits on.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx

from rbnn_deploy.errors import UserError
from rbnn_deploy.estimating.devices import Device, find_devices
from rbnn_deploy.exporters.c import plan_memory
from rbnn_deploy.inspecting import format_bytes, inspect_onnx
from rbnn_deploy.model_files import read_model
from rbnn_deploy.onnx_graph import attributes as attributes_of
from rbnn_deploy.onnx_graph import constant_tensors, is_binary_conv
from rbnn_deploy.operators import (
    DOMAIN,
    PACK_SIGNS,
    PACKED_BINARY_CONV2D,
    UNPACK_SIGNS,
    PackedBinaryConv2dAttributes,
)
from rbnn_deploy.shape_inference import static_shapes
from rbnn_deploy.tables import Table
from rbnn_deploy.text_layout import paragraph

CODE_BYTES = 35_000  # of the C99 export without weights, at most; docs/c.md has measured ones
SLOW, FAST = 0, 1


@dataclass(frozen=True)
class Estimate:
    """The cost of one sample on one device.

    Attributes:
        device: Its name.
        storage: Bytes: the model's file, or flash for code and weights, the upper end.
        memory: Bytes of activations: of ONNX Runtime at least, or the C99 export's static memory.
        fastest, slowest: Ends of the time's range, in milliseconds.
        note: Why something is not known; empty where all is.
    """

    device: str
    storage: int | None
    memory: int | None
    fastest: float | None
    slowest: float | None
    note: str = ""


@dataclass(frozen=True)
class Estimates:
    """The cost on several devices.

    Attributes:
        results: Per device.
        assumed: The rows of the table of devices that they stand on.
    """

    results: tuple[Estimate, ...]
    assumed: tuple[Device, ...]

    def to_json(self) -> list[dict[str, Any]]:
        """Returns the estimates for json.dumps, as a part of `inspect`'s result."""
        return [
            {**asdict(result), "assumed": asdict(device)}
            for result, device in zip(self.results, self.assumed, strict=True)
        ]

    def table(self) -> Table:
        """Returns the estimates as a table."""
        rows = [
            (one.device, _size(one.storage), _size(one.memory), _times(one.fastest, one.slowest))
            for one in self.results
        ]
        return Table(("device", "storage", "memory", "time per sample, one thread"), rows, text_columns=1)

    def assumptions(self) -> Table:
        """Returns what was assumed per device, as a table."""
        ranges = [(d.clock, d.binary, d.real, d.element, d.node) for d in self.assumed]
        rows = [(d.name, *map(_range, row)) for d, row in zip(self.assumed, ranges, strict=True)]
        header = ("assumed", "GHz", "binary/cycle", "float/cycle", "cycles/element", "us/node")
        return Table(header, rows, text_columns=1)

    def to_text(self) -> str:
        """Returns the estimates for people."""
        notes = [f"{one.device}: {one.note}" for one in self.results if one.note]
        parts = [self.table().to_text(), *map(paragraph, notes), "", self.assumptions().to_text()]
        return "\n".join([*parts, *map(paragraph, _sentences(self.assumed))])


def estimate(path: str | Path, devices: Sequence[str]) -> Estimates:
    """Estimates the cost of a deployed model.

    Args:
        path: The .onnx file.
        devices: Names of the table (`rbnn_deploy.estimating.DEVICES`).

    Raises:
        UserError: A device is not known, or the file cannot be read.
    """
    chosen = find_devices(devices)
    summary = inspect_onnx(path)
    file = read_model(path)
    work = None
    elements = count_elements(file.model)
    if elements is not None and None not in [layer.macs for layer in summary.layers]:
        # No device's rate of int8 is in the table: float32's is what it has at least.
        real = summary.macs("int8") + summary.macs("float")
        work = (summary.macs("binary"), real, elements, len(file.model.graph.node))
    results = []
    for device in chosen:
        storage: int | None = summary.file_size
        memory, note = summary.peak_activations, ""
        if device.is_microcontroller:
            try:
                plan = plan_memory(path)
                storage, memory = plan.weight_bytes + CODE_BYTES, plan.arena_bytes
            except UserError as error:
                storage, memory, note = None, None, f"no C99 export ({error})"
        if work is None and not note:
            note = "the sizes of some layers are not known before the model runs, so neither is its time"
        known = work if not note else None
        fastest, slowest = (None if known is None else _time(device, known, end) for end in (FAST, SLOW))
        results.append(Estimate(device.name, storage, memory, fastest, slowest, note))
    return Estimates(tuple(results), tuple(chosen))


def count_elements(model: onnx.ModelProto) -> int | None:
    """Counts the floats that binary layers read and write for one sample, and the sums that they compare."""
    shapes = {name: shape[1:] for name, shape in static_shapes(model).items()}
    stored = constant_tensors(model.graph)
    count = 0
    for node in model.graph.node:
        for sizes in _element_shapes(node, shapes, stored):
            if None in sizes:
                return None
            count += math.prod(size for size in sizes if size is not None)
    return count


def _element_shapes(
    node: onnx.NodeProto, shapes: Mapping[str, Sequence[int | None]], stored: Mapping[str, onnx.TensorProto]
) -> Iterator[Sequence[int | None]]:
    """Yields the shapes of what a node has for elements, with None for an unknown size."""
    if node.domain != DOMAIN:
        return
    source, result = (shapes.get(name, (None,)) for name in (node.input[0], node.output[0]))
    if node.op_type == PACK_SIGNS:
        yield source
    elif node.op_type == UNPACK_SIGNS:
        yield result
    elif node.op_type == PACKED_BINARY_CONV2D:
        attributes = PackedBinaryConv2dAttributes.from_mapping(attributes_of(node))
        weights = stored.get(node.input[1])
        size = result[:-1] if len(result) > 1 else (None,)
        yield (*size, None if weights is None else weights.dims[0], *attributes.pool)
    elif is_binary_conv(node):
        yield source
        yield result


def _time(device: Device, work: tuple[int, int, int, int], end: int) -> float:
    binary, real, elements, nodes = work
    cycles = binary / device.binary[end] + real / device.real[end] + elements * device.element[end]
    return cycles / device.clock[end] / 1e6 + nodes * device.node[end] / 1e3


def _sentences(devices: Sequence[Device]) -> list[str]:
    lines = [
        "Estimated, not measured, from the slow end to the fast end. Per cycle: binary and float32 "
        "multiply-accumulates; int8 ones count as float32. Elements are the floats that binary layers read "
        "and write, and the sums that they compare where they pass bits on; nodes are the model's."
    ]
    for source in dict.fromkeys(device.source for device in devices):
        names = ", ".join(device.name for device in devices if device.source == source)
        lines.append(f"{names}: {source}.")
    if any(device.is_microcontroller for device in devices):
        lines.append(
            f"Microcontrollers run the C99 export: storage is its weights and {format_bytes(CODE_BYTES)} of "
            "code, memory its static arrays; the stack and the input come on top."
        )
    if any(not device.is_microcontroller for device in devices):
        lines.append(
            "Others run ONNX Runtime with the operator library: storage is the file, memory the activations; "
            "the process and its libraries come on top."
        )
    return lines


def _range(ends: tuple[float, float]) -> str:
    return f"{ends[0]:g}" if ends[0] == ends[1] else f"{ends[0]:g} to {ends[1]:g}"


def _size(count: int | None) -> str:
    return "?" if count is None else format_bytes(count)


def _times(fastest: float | None, slowest: float | None) -> str:
    if fastest is None or slowest is None:
        return "?"
    return f"{_milliseconds(fastest)} to {_milliseconds(slowest)}"


def _milliseconds(value: float) -> str:
    """Writes a time with two significant digits."""
    rounded = float(f"{value:.2g}")
    return f"{rounded / 1000:g} s" if rounded >= 1000 else f"{rounded:g} ms"
