"""One row of the layout pass's table: an operator that can be written channels-last."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnxscript import ir

from rbnn_deploy.exporters.onnx.graph import (
    MAP_RANK,
    TO_CHANNELS_LAST,
    Writer,
    constant_array,
    is_map,
    operand,
)


class Site:
    """Where a channels-last form is written.

    Args:
        node: The channels-first node that is replaced.
        writer: Adds nodes in front of it.
        twins: Channels-last form of each of its maps.

    Attributes:
        node: As above.
        writer: As above.
    """

    def __init__(self, node: ir.Node, writer: Writer, twins: Mapping[ir.Value, ir.Value]) -> None:
        self.node, self.writer, self._twins = node, writer, twins

    def map(self, index: int = 0) -> ir.Value:
        """Returns the channels-last form of an input that is a map."""
        value = self.node.inputs[index]
        assert value is not None
        return self._twins[value]

    def operand(self, index: int) -> ir.Value | None:
        """Returns the channels-last form of an input that broadcasts against a map.

        A constant has its axes moved here and now; leading axes of size 1 are left out.
        """
        value = operand(self.node, index)
        if value is None or value in self._twins:
            return None if value is None else self._twins[value]
        array = constant_array(value)
        if array is None or array.ndim == 0:
            return value
        if array.size == 1:
            return self.writer.constant(array.reshape(()))
        aligned = array.reshape((1,) * (MAP_RANK - array.ndim) + array.shape).transpose(TO_CHANNELS_LAST)
        leading = next(i for i, size in enumerate(aligned.shape) if size != 1)
        return self.writer.constant(np.ascontiguousarray(aligned.reshape(aligned.shape[leading:])))

    def sized(self, value: ir.Value) -> ir.Value:
        """Gives a value the channels-last shape and the type of the node's output, and returns it."""
        output = self.node.outputs[0]
        if output.shape is not None:
            value.shape = ir.Shape([output.shape[axis] for axis in TO_CHANNELS_LAST])
        value.type = output.type
        return value

    def copy(self, inputs: Sequence[ir.Value | None], **changed: Any) -> Sequence[ir.Value]:
        """Writes the same operator on other inputs, with some attributes changed."""
        return self.writer.copy(self.node, inputs, changed=changed)


Build = Callable[[Site], Sequence[ir.Value]]
Refusal = Callable[[ir.Node], str]


def _never(node: ir.Node) -> str:
    return ""


def _has_map_outputs(node: ir.Node) -> bool:
    return all(is_map(value) for value in node.outputs)


@dataclass(frozen=True)
class Handler:
    """How one operator moves.

    Every input that is a map moves; what else it reads is constant or a single element.

    Attributes:
        build: Writes the channels-last form and returns its outputs.
        refusal: Why a node stays channels-first; empty where it can move.
        outputs_are_maps: Whether the outputs of a node have a layout; False where they are the same either
            way.
    """

    build: Build
    refusal: Refusal = _never
    outputs_are_maps: Callable[[ir.Node], bool] = _has_map_outputs


def moved_axis(axis: int) -> int:
    """Returns the channels-last axis at which a channels-first axis stands; -1 is the last one."""
    return TO_CHANNELS_LAST.index(axis % MAP_RANK)


def moved_order(axes: Sequence[int]) -> bool:
    """Tells whether these channels-first axes stand in the same order channels-last."""
    moved = [moved_axis(axis) for axis in sorted(axis % MAP_RANK for axis in axes)]
    return moved == sorted(moved)
