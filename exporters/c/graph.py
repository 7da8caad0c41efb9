"""What the emitters of operators ask of the ONNX graph, and where they leave their C calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx

from rbnn_deploy.exporters.c.names import Identifiers, comment_text
from rbnn_deploy.exporters.c.program import Buffer, Element, Program, Step, Table, TableElement, as_table
from rbnn_deploy.model_files.errors import quoted
from rbnn_deploy.onnx_graph import attributes

if TYPE_CHECKING:
    from rbnn_deploy.exporters.c.wanted import Packing, Wanted

Shape = tuple[int, ...]
Array = npt.NDArray[Any]


class UnsupportedNodeError(Exception):
    """C has no code for a node; the message says why, as a clause that follows the node's name."""


@dataclass(frozen=True)
class Node:
    """A node with its attributes as Python values.

    Attributes:
        name: Its own, or its operator and number.
        op: Operator.
        inputs: Value names; "" where one is absent.
        outputs: Value names.
        attributes: By name, text as str.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]

    def input(self, index: int) -> str:
        """Returns the name of an input; "" where it is absent."""
        return self.inputs[index] if index < len(self.inputs) else ""

    def require(self, name: str, *allowed: object) -> None:
        """Checks that an attribute is absent or has an allowed value.

        Raises:
            UnsupportedNodeError: It has another value.
        """
        value = self.attributes.get(name, allowed[0])
        if value not in allowed:
            raise UnsupportedNodeError(f"has {name} {quoted(str(value))}")


class Graph:
    """The graph on its way to a program.

    Args:
        program: Gets steps and tables.
        shapes: Of every value, with a batch of one image.
        constants: Stored tensors by name.
        channels_last: Values that are stored channels-last though their ONNX shape is channels-first.
        wanted: What later nodes want of a value.

    Attributes:
        wanted: Likewise.
        bits: The packed signs of values, by value and by how they are packed (`wanted.Packing`).
        channels_of_bits: Of each value that the file has as packed bits, how many channels they are of.
    """

    def __init__(
        self,
        program: Program,
        shapes: dict[str, Shape],
        constants: dict[str, Array],
        channels_last: set[str],
        wanted: Wanted,
    ) -> None:
        self.program = program
        self.wanted = wanted
        self.channels_last = channels_last
        self.bits: dict[tuple[str, str, int, str], Buffer] = {}
        self.channels_of_bits: dict[str, int] = {}
        self._shapes = shapes
        self._constants = constants
        self._buffers: dict[str, Buffer] = {}
        self._identifiers = Identifiers()
        self._tables: dict[tuple[str, str, int], str] = {}

    def set_input(self, value: str, buffer: Buffer) -> None:
        """Says which value is the image."""
        self._buffers[value] = buffer

    def shape(self, value: str) -> Shape:
        """Returns a value's shape, the batch of one included.

        Raises:
            UnsupportedNodeError: It is not known.
        """
        if value in self._constants:
            return tuple(self._constants[value].shape)
        if value not in self._shapes:
            raise UnsupportedNodeError(f"has a value {quoted(value)} whose shape is not fixed")
        return self._shapes[value]

    def buffer(self, value: str) -> Buffer:
        """Returns the buffer that holds a computed value.

        Raises:
            UnsupportedNodeError: The value is a constant, or is not float32.
        """
        if value not in self._buffers:
            raise UnsupportedNodeError(f"computes with {quoted(value)}, which is no float32 activation")
        return self._buffers[value]

    def bits_of(self, value: str, packing: Packing) -> Buffer:
        """Returns the buffer that holds a value's bits.

        Raises:
            UnsupportedNodeError: There is none, since no node that packs makes them.
        """
        if (value, *packing) not in self.bits:
            raise UnsupportedNodeError(_no_bits(value))
        return self.bits[value, *packing]

    def held_bits_of(self, value: str, packing: Packing, channels: int) -> Buffer:
        """Returns the bits of a value that the file has as packed bits.

        Raises:
            UnsupportedNodeError: The value is none such; or its bits are of another number of channels, which
                may fill as many bytes in the file, but not the same rows of words.
        """
        if value not in self.channels_of_bits:
            raise UnsupportedNodeError(_no_bits(value))
        if self.channels_of_bits[value] != channels:
            raise UnsupportedNodeError(
                f"reads {channels} channels of {quoted(value)}, which has {self.channels_of_bits[value]}"
            )
        return self.bits_of(value, packing)

    def is_computed(self, value: str) -> bool:
        """Tells whether a value depends on the image."""
        return value in self._buffers

    def constant(self, value: str) -> Array:
        """Returns a constant.

        Raises:
            UnsupportedNodeError: The value is not one.
        """
        if value not in self._constants:
            raise UnsupportedNodeError(f"needs {quoted(value)} as a constant of the file")
        return self._constants[value]

    def weights(self, value: str) -> Array:
        """Returns a float32 constant.

        Raises:
            UnsupportedNodeError: The value is not one.
        """
        values = self.constant(value)
        if values.dtype != np.float32:
            raise UnsupportedNodeError(f"has {quoted(value)} of type {values.dtype}, not float32")
        return values

    def new_buffer(self, value: str, element: Element = "float", count: int | None = None) -> Buffer:
        """Makes the buffer of a value that a step will write; its size is the value's own if not given."""
        size = int(np.prod(self.shape(value))) if count is None else count
        buffer = Buffer(value, element, size)
        if element == "float":
            self._buffers[value] = buffer
        return buffer

    def alias(self, value: str, same_as: str) -> None:
        """Says that a value is another one with a different shape."""
        if same_as in self._constants:
            self._constants[value] = self._constants[same_as].reshape(self.shape(value))
        else:
            self._buffers[value] = self.buffer(same_as)

    def add_constant(self, value: str, values: Array) -> None:
        """Says that a value is known now."""
        self._constants[value] = values

    def identifier(self, prefix: str, name: str) -> str:
        """Returns a C identifier that nothing else has."""
        return self._identifiers.make(prefix, name)

    def table(self, prefix: str, value: str, values: Array, element: TableElement, meaning: str) -> str:
        """Stores a constant array, once however many nodes read it.

        Returns:
            Its C identifier.
        """
        key = (prefix, value, hash(values.tobytes()))  # two nodes may want one tensor in different orders
        if key not in self._tables:
            name = self.identifier(f"model_{prefix}", value)
            comment = f"{comment_text(value)}: {meaning}"
            self.program.tables[name] = Table(name, element, as_table(values, element), comment)
            self._tables[key] = name
        return self._tables[key]

    def add(self, step: Step) -> None:
        """Appends a step."""
        self.program.steps.append(step)

    def comment(self, node: Node, text: str = "") -> str:
        """Describes a node: its name, operator and shapes."""
        has_bits = {value for value, *_ in self.bits}
        sources = [self.shape(n) for n in node.inputs if self.is_computed(n) or n in has_bits][:1]
        shapes = " to ".join(times(shape[1:]) for shape in (*sources, self.shape(node.outputs[0])))
        return comment_text(f"{node.name}: {node.op}, {shapes}{', ' if text else ''}{text}")


def _no_bits(value: str) -> str:
    return f"reads {quoted(value)} as bits, which no PackSigns or PackedBinaryConv2d gives it at once"


def times(shape: Shape) -> str:
    """Writes sizes as `32 x 32 x 16`."""
    return " x ".join(map(str, shape)) or "1"


def to_node(proto: onnx.NodeProto, index: int) -> Node:
    """Reads a node."""
    values = attributes(proto)
    readable = {n: v.decode("utf-8", "replace") if isinstance(v, bytes) else v for n, v in values.items()}
    name = proto.name or f"{proto.op_type} {index}"
    return Node(name, proto.op_type, tuple(proto.input), tuple(proto.output), readable)
