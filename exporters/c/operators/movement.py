"""Operators that move data only: Transpose, Slice, Pad, Concat, Split, each as copies of blocks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from rbnn_deploy.exporters.c.graph import Graph, Node, Shape, UnsupportedNodeError
from rbnn_deploy.exporters.c.program import Buffer, Step
from rbnn_deploy.exporters.c.structures import float_constant, structure

TO_CHANNELS_LAST = (0, 2, 3, 1)
AXES = 4  # of a block in C


def emit_transpose(graph: Graph, node: Node) -> None:
    """Adds the step of a Transpose, or none where the values are stored transposed already."""
    value, result = node.inputs[0], node.outputs[0]
    shape = graph.shape(value)
    perm = tuple(node.attributes.get("perm") or reversed(range(len(shape))))
    moved = [axis for axis in perm if shape[axis] > 1]
    if moved == sorted(moved) or (value in graph.channels_last and perm == TO_CHANNELS_LAST):
        graph.alias(result, value)
        return
    steps = steps_of(shape)
    _add_copy(graph, node, [(shape[axis], steps[axis]) for axis in perm])


def emit_slice(graph: Graph, node: Node) -> None:
    """Adds the step of a Slice with constant bounds and positive steps, in place if nobody needs the rest."""
    value = node.inputs[0]
    shape = graph.shape(value)
    starts, ends = (graph.constant(node.inputs[index]).tolist() for index in (1, 2))
    axes = graph.constant(node.input(3)).tolist() if node.input(3) else list(range(len(starts)))
    strides = graph.constant(node.input(4)).tolist() if node.input(4) else [1] * len(starts)
    steps = steps_of(shape)
    block, first = [list(pair) for pair in zip(shape, steps, strict=True)], 0
    for start, end, axis, stride in zip(starts, ends, axes, strides, strict=True):
        if stride < 1:
            raise UnsupportedNodeError("runs backwards")
        begin, _, _ = slice(start, end, stride).indices(shape[axis])
        first += begin * steps[axis]
        block[axis] = [len(range(*slice(start, end, stride).indices(shape[axis]))), steps[axis] * stride]
    # Element i comes from element i or a later one, so copying forwards overwrites nothing that is needed.
    _add_copy(graph, node, [(size, step) for size, step in block], first=first, in_place=True)


def emit_pad(graph: Graph, node: Node) -> None:
    """Adds the steps of a Pad with one constant: fill everything, then copy into the middle."""
    node.require("mode", "constant")
    value, result = node.inputs[0], node.outputs[0]
    shape, padded = graph.shape(value), graph.shape(result)
    pads = graph.constant(node.inputs[1]).tolist()
    axes = (
        [a % len(shape) for a in graph.constant(node.input(3)).tolist()]
        if node.input(3)
        else range(len(shape))
    )
    if min(pads) < 0:
        raise UnsupportedNodeError("cuts off instead of padding")
    filling = float(graph.weights(node.input(2)).reshape(-1)[0]) if node.input(2) else 0.0
    steps = steps_of(padded)
    offset = sum(pad * steps[axis] for pad, axis in zip(pads, axes, strict=False))
    x = graph.buffer(value)
    y = graph.new_buffer(result)
    count = math.prod(padded)
    graph.add(
        Step(
            graph.comment(node, "first the border's value everywhere"),
            lambda at: f"fill({at[y]}, {count}, {float_constant(filling)});",
            reads=(),
            writes=(y,),
            kernel="fill",
        )
    )
    block = list(zip(shape, steps_of(shape), steps, strict=True))
    _add_block(
        graph, node.name, graph.comment(node, "then the map"), x, y, block, to_start=offset, result=result
    )


def emit_concat(graph: Graph, node: Node) -> None:
    """Adds one step per input of a Concat."""
    result = node.outputs[0]
    shape = graph.shape(result)
    axis = node.attributes["axis"] % len(shape)
    steps, offset = steps_of(shape), 0
    sources = [graph.buffer(value) for value in node.inputs]
    y = graph.new_buffer(result)
    for index, (value, x) in enumerate(zip(node.inputs, sources, strict=True)):
        part = graph.shape(value)
        block = list(zip(part, steps_of(part), steps, strict=True))
        last = index == len(sources) - 1
        comment = graph.comment(node, f"input {index + 1} of {len(sources)}")
        _add_block(graph, node.name, comment, x, y, block, to_start=offset, result=result if last else None)
        offset += part[axis] * steps[axis]


def emit_split(graph: Graph, node: Node) -> None:
    """Adds one step per output of a Split."""
    value = node.inputs[0]
    shape = graph.shape(value)
    axis = node.attributes.get("axis", 0) % len(shape)
    steps, start = steps_of(shape), 0
    x = graph.buffer(value)
    for output in node.outputs:
        part = graph.shape(output)
        y = graph.new_buffer(output)
        block = list(zip(part, steps, steps_of(part), strict=True))
        _add_block(graph, node.name, graph.comment(node), x, y, block, from_start=start, result=output)
        start += part[axis] * steps[axis]


def copy_step(graph: Graph, value: str, comment: str) -> Buffer:
    """Adds a copy of a whole value and returns it."""
    x = graph.buffer(value)
    y = graph.new_buffer(value)
    _add_block(graph, value, comment, x, y, [(x.count, 1, 1)], result=value)
    return y


def steps_of(shape: Shape) -> list[int]:
    """Returns how far apart neighbours along each axis lie."""
    return [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]


def _add_copy(
    graph: Graph, node: Node, block: Sequence[tuple[int, int]], *, first: int = 0, in_place: bool = False
) -> None:
    """Adds a copy from a block (size and step per axis) to the whole output."""
    result = node.outputs[0]
    x = graph.buffer(node.inputs[0])
    y = graph.new_buffer(result)
    to = steps_of(tuple(size for size, _ in block))
    axes = [(size, step, out) for (size, step), out in zip(block, to, strict=True)]
    _add_block(
        graph, node.name, graph.comment(node), x, y, axes, from_start=first, result=result, in_place=in_place
    )


def _add_block(
    graph: Graph,
    name: str,
    comment: str,
    x: Buffer,
    y: Buffer,
    block: Iterable[tuple[int, int, int]],
    *,
    from_start: int = 0,
    to_start: int = 0,
    result: str | None = None,
    in_place: bool = False,
) -> None:
    """Adds the copy of a block.

    Args:
        graph: Gets the step.
        name: For the identifier.
        comment: For the reader.
        x: Source.
        y: Target.
        block: Size, step in the source and step in the target, per axis.
        from_start: First element of the source.
        to_start: First element of the target.
        result: Name of the value that is complete afterwards.
        in_place: Whether y may begin where x does.
    """
    axes = _merged(block)
    if len(axes) > AXES:
        raise UnsupportedNodeError(f"moves data along more than {AXES} axes")
    axes = [(1, 0, 0)] * (AXES - len(axes)) + axes
    sizes, from_steps, to_steps = (f"{{{', '.join(str(axis[i]) for axis in axes)}}}" for i in range(3))
    identifier = graph.identifier("layer", name)
    members: dict[str, int | float | str] = {
        "sizes": sizes, "from_steps": from_steps, "to_steps": to_steps,
        "from_start": from_start, "to_start": to_start,
    }  # fmt: skip
    graph.add(
        Step(
            comment,
            lambda at: f"copy_block(&{identifier}, {at[x]}, {at[y]});",
            reads=(x,),
            writes=(y,),
            kernel="copy_block",
            in_place=x if in_place else None,
            layer=structure("copy_block", identifier, members),
            result=result,
        )
    )


def _merged(block: Iterable[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Drops axes of one element, and joins axes that lie in both places as one would."""
    merged: list[tuple[int, int, int]] = []
    for size, source, target in block:
        if size == 1:
            continue
        if merged and merged[-1][1] == size * source and merged[-1][2] == size * target:
            merged[-1] = (int(np.multiply(merged[-1][0], size)), source, target)
        else:
            merged.append((size, source, target))
    return merged
