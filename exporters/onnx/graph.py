"""Reading and writing onnx-ir graphs: what all passes of the exporter share.

Attributes, constants and shapes are read here and nowhere else; `Writer` adds nodes in front of a given one.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnxscript import ir

TO_CHANNELS_LAST = (0, 2, 3, 1)  # perm of a Transpose from NCHW to NHWC
TO_CHANNELS_FIRST = (0, 3, 1, 2)  # and back; also: the NHWC axis at which each NCHW axis stands
MAP_RANK = 4
MAP_AXES = (1, 2)  # height and width of a channels-last tensor


def ints(node: ir.Node, name: str, default: tuple[int, ...] = ()) -> tuple[int, ...]:
    """Returns a list attribute of integers."""
    attribute = node.attributes.get(name)
    return default if attribute is None else tuple(attribute.as_ints())


def text(node: ir.Node, name: str, default: str = "") -> str:
    """Returns a string attribute."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_string()


def integer(node: ir.Node, name: str, default: int) -> int:
    """Returns an integer attribute."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_int()


def floating(node: ir.Node, name: str, default: float) -> float:
    """Returns a float attribute."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_float()


def operand(node: ir.Node, index: int) -> ir.Value | None:
    """Returns an input, or None where it is absent."""
    return node.inputs[index] if index < len(node.inputs) else None


def constant_array(value: ir.Value | None) -> npt.NDArray[Any] | None:
    """Returns the array behind a constant value; None where it is absent or not constant."""
    if value is None or value.is_graph_input():
        return None
    if value.const_value is None:
        node = value.producer()
        if node is None or node.op_type != "Constant" or "value" not in node.attributes:
            return None
        return node.attributes["value"].as_tensor().numpy()
    return value.const_value.numpy()


def shape_of(value: ir.Value | None) -> tuple[int | str, ...] | None:
    """Returns a value's shape with open dimensions as their names, "" without one; None where unknown."""
    if value is None or value.shape is None:
        return None
    return tuple(d if isinstance(d, int) else d.value or "" for d in value.shape)


def same_shape(left: ir.Value, right: ir.Value) -> bool:
    """Tells whether two values are known to have equal shapes; dimensions without a name equal none."""
    shape = shape_of(left)
    return shape is not None and "" not in shape and shape == shape_of(right)


def is_map(value: ir.Value | None) -> bool:
    """Tells whether a value is computed and known to have four axes: batch, channels, height and width."""
    return (
        value is not None
        and constant_array(value) is None
        and value.shape is not None
        and value.shape.rank() == MAP_RANK
    )


def map_size(value: ir.Value | None) -> tuple[int, int, int] | None:
    """Returns (C, H, W) of a channels-first map; None where one of them is not known."""
    shape = shape_of(value)
    if shape is None or len(shape) != MAP_RANK:
        return None
    channels, height, width = shape[1:]
    if isinstance(channels, int) and isinstance(height, int) and isinstance(width, int):
        return channels, height, width
    return None


def only_reader(value: ir.Value) -> ir.Node | None:
    """Returns the one node that reads a value, once; None for several, for none, and for a graph's output."""
    uses = list(value.uses())
    if len(uses) != 1 or value.is_graph_output():
        return None
    return uses[0].node


def producer(value: ir.Value | None) -> ir.Node | None:
    """Returns the node that computes a value; None for constants, inputs of the graph and absent inputs."""
    return None if value is None else value.producer()


def replace(old: ir.Value, new: ir.Value) -> None:
    """Lets all readers of a value read another one; an output of the graph keeps its name and its shape."""
    if old.is_graph_output():
        name, old.name = old.name, f"{old.name}.before"
        new.name, new.shape, new.type = name, old.shape, old.type
    old.replace_all_uses_with(new, replace_graph_outputs=True)


def remove(nodes: Sequence[ir.Node]) -> None:
    """Removes nodes that nobody reads any more, in the order given."""
    for node in nodes:
        if node.graph is not None:
            node.graph.remove(node, safe=True)


def graphs(model: ir.Model) -> Iterator[ir.Graph]:
    """Yields the model's graph and those inside its nodes (If, Loop)."""
    for graph in model.graphs():
        if isinstance(graph, ir.Graph):
            yield graph


def path_name(path: str, name: str) -> str:
    """Joins the path of a module and a name below it; the root has no path."""
    return f"{path}.{name}" if path else name


class Writer:
    """Adds nodes in front of a node, and names those that are given no name after it.

    Args:
        anchor: The node; new nodes stand before it in the order in which they are made.
    """

    def __init__(self, anchor: ir.Node) -> None:
        self._anchor = anchor

    def nodes(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        outputs: int = 1,
        *,
        domain: str = "",
        name: str | None = None,
        **attributes: Any,
    ) -> Sequence[ir.Value]:
        """Adds a node and returns its outputs. `attributes` are plain values or `ir.Attr`."""
        given = [value for value in attributes.values() if isinstance(value, ir.Attr)]
        plain = {key: value for key, value in attributes.items() if not isinstance(value, ir.Attr)}
        if name is None and op_type != "Constant":
            name = path_name(self._anchor.name or "", op_type)
        node = ir.Node(
            domain,
            op_type,
            inputs,
            [*given, *ir.convenience.convert_attributes(plain)],
            num_outputs=outputs,
            name=name,
        )
        graph = self._anchor.graph
        assert graph is not None
        graph.insert_before(self._anchor, node)
        return node.outputs

    def node(
        self,
        op_type: str,
        *inputs: ir.Value | None,
        like: ir.Value | None = None,
        domain: str = "",
        name: str | None = None,
        **attributes: Any,
    ) -> ir.Value:
        """Adds a node of one output; `like` lends it shape and type."""
        (value,) = self.nodes(op_type, inputs, domain=domain, name=name, **attributes)
        if like is not None:
            value.shape, value.type = like.shape, like.type
        return value

    def copy(
        self,
        node: ir.Node,
        inputs: Sequence[ir.Value | None],
        *,
        domain: str | None = None,
        changed: Mapping[str, Any] | None = None,
    ) -> Sequence[ir.Value]:
        """Adds a copy of a node that reads other values; it keeps the name.

        Args:
            node: The original.
            inputs: What the copy reads.
            domain: Of the copy; None for the original's.
            changed: Attributes that differ, by name.
        """
        attributes: dict[str, Any] = {**node.attributes, **(changed or {})}
        return self.nodes(
            node.op_type,
            inputs,
            len(node.outputs),
            domain=node.domain if domain is None else domain,
            name=node.name,
            **attributes,
        )

    def constant(self, array: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> ir.Value:
        """Adds a constant."""
        content = np.asarray(array, dtype)
        tensor = ir.tensor(content)
        value = self.node("Constant", value=tensor)
        value.const_value = tensor
        value.shape, value.type = ir.Shape(content.shape), ir.TensorType(tensor.dtype)
        return value

    def transpose(self, value: ir.Value, perm: Sequence[int]) -> ir.Value:
        """Adds a Transpose; a map of one pixel, whose values have the same order either way, is reshaped."""
        shape = shape_of(value)
        moved = None if shape is None else [value.shape[axis] for axis in perm]  # type: ignore[index]
        map_axes = (2, 3) if tuple(perm) == TO_CHANNELS_LAST else MAP_AXES
        if (
            shape is not None
            and all(shape[axis] == 1 for axis in map_axes)
            and isinstance(shape[6 - sum(map_axes)], int)
        ):
            channels = shape[6 - sum(map_axes)]
            target = [-1, 1, 1, channels] if tuple(perm) == TO_CHANNELS_LAST else [-1, channels, 1, 1]
            result = self.node("Reshape", value, self.constant(target, np.int64))
        else:
            result = self.node("Transpose", value, perm=list(perm))
        result.shape = None if moved is None else ir.Shape(moved)
        result.type = value.type
        return result
