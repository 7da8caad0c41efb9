"""From the graph of a deployed .onnx file to a program of C calls."""

from __future__ import annotations

import math
from collections.abc import Iterable

import onnx
from onnx import TensorProto

from rbnn_deploy.errors import UserError
from rbnn_deploy.exporters.c.graph import Graph, Node, Shape, UnsupportedNodeError, to_node
from rbnn_deploy.exporters.c.operators import EMITTERS, FOLLOWS_LAYOUT
from rbnn_deploy.exporters.c.operators.movement import copy_step
from rbnn_deploy.exporters.c.operators.packing import add_packing
from rbnn_deploy.exporters.c.program import Buffer, Program
from rbnn_deploy.exporters.c.wanted import wanted_of
from rbnn_deploy.metadata import LARGEST_INPUT
from rbnn_deploy.model_files import ModelFile
from rbnn_deploy.model_files.errors import quoted
from rbnn_deploy.onnx_graph import constants, dimensions, producers, real_inputs, uses
from rbnn_deploy.operators import DOMAIN
from rbnn_deploy.shape_inference import static_shapes
from rbnn_deploy.text import printable

DOMAINS = ("", "ai.onnx", DOMAIN)
TO_CHANNELS_LAST = [0, 2, 3, 1]


def read_program(file: ModelFile, *, vectors: bool = False) -> Program:
    """Turns a deployed model into a program for one image.

    Args:
        file: The model.
        vectors: See `Program`.

    Raises:
        UserError: The model is not of one image in and one float32 vector out, or has a node for which there
            is no C code; the sentence names the node.
    """
    shown, proto = printable(str(file.path)), file.model.graph
    image = _input_shape(proto, shown)
    nodes = [to_node(node, index) for index, node in enumerate(proto.node)]
    input_name, output_name = real_inputs(proto)[0].name, proto.output[0].name
    program = Program(
        Buffer("input", "float", math.prod(image)), Buffer("output", "float", 0), image, vectors=vectors
    )
    shapes = _shapes_of_one_image(file.model, image)
    stored = constants(proto)
    wanted = wanted_of(nodes, output_name, stored)
    graph = Graph(program, shapes, stored, _stored_channels_last(proto, nodes), wanted)
    graph.set_input(input_name, program.input)
    add_packing(graph, input_name)
    for node, source in zip(nodes, proto.node, strict=True):
        try:
            _emit(graph, node, source.domain)
            for value in node.outputs:
                add_packing(graph, value)
        except UnsupportedNodeError as error:
            raise UserError(
                f"{shown} cannot become C: node {quoted(node.name)} ({quoted(node.op)}) {error}; "
                "run this model in ONNX Runtime, or change that layer"
            ) from None
    if not graph.is_computed(output_name):
        raise UserError(f"{shown} cannot become C: its output does not depend on the image")
    program.output = graph.buffer(output_name)
    if program.output is program.input:
        program.output = copy_step(graph, output_name, "output: a copy of the input")
    return program


def _emit(graph: Graph, node: Node, domain: str) -> None:
    emitter = EMITTERS.get(node.op) if domain in DOMAINS else None
    if emitter is None:
        raise UnsupportedNodeError("is of an operator that has no C code")
    emitter(graph, node)


def _input_shape(graph: onnx.GraphProto, shown: str) -> tuple[int, int, int]:
    inputs = real_inputs(graph)
    if len(inputs) != 1 or len(graph.output) != 1:
        raise UserError(f"{shown} cannot become C: it must have one input and one output; export it so")
    sizes = dimensions(inputs[0])
    floats = inputs[0].type.tensor_type.elem_type == graph.output[0].type.tensor_type.elem_type
    if inputs[0].type.tensor_type.elem_type == TensorProto.UINT8:
        raise UserError(
            f"{shown} cannot become C: it takes pixels; export it without --input, since C code has a "
            "function that takes pixels in any case"
        )
    if inputs[0].type.tensor_type.elem_type != TensorProto.FLOAT or not floats:
        raise UserError(f"{shown} cannot become C: input and output must be float32; export it so")
    known = [size for size in sizes[1:] if size is not None and size >= 1]
    if len(sizes) != 4 or len(known) != 3 or math.prod(known) > LARGEST_INPUT:
        raise UserError(
            f"{shown} cannot become C: its input must be [N, C, H, W] with C, H and W fixed; "
            "export it for one size of image"
        )
    return known[0], known[1], known[2]


def _shapes_of_one_image(model: onnx.ModelProto, image: tuple[int, int, int]) -> dict[str, Shape]:
    """Infers all shapes with N = 1; a value of unknown shape is left out."""
    one = onnx.ModelProto()
    one.CopyFrom(model)
    given = real_inputs(one.graph)[0].type.tensor_type.shape
    for dimension, size in zip(given.dim, (1, *image), strict=True):
        dimension.Clear()
        dimension.dim_value = size
    for value in one.graph.output:
        value.type.tensor_type.ClearField("shape")
    del one.graph.value_info[:]
    found = {}
    for name, shape in static_shapes(one).items():
        sizes = [size for size in shape if size is not None and size >= 1]
        if len(sizes) == len(shape):
            found[name] = tuple(sizes)
    return found


def _stored_channels_last(graph: onnx.GraphProto, nodes: Iterable[Node]) -> set[str]:
    """Finds values that may be stored channels-last at once, so that a Transpose behind them costs nothing.

    From each Transpose to channels-last the way goes up, through operators that compute in any layout, to a
    Conv that writes in either; every value on it must have one reader.
    """
    count, made_by = uses(graph), producers(graph)
    by_output = {node.outputs[0]: node for node in nodes}
    found: set[str] = set()
    for node in nodes:
        if node.op != "Transpose" or node.attributes.get("perm") != TO_CHANNELS_LAST:
            continue
        way, value = [], node.inputs[0]
        while value in made_by and count[value] == 1:
            way.append(value)
            producer = by_output.get(value)
            if producer is None or producer.op not in FOLLOWS_LAYOUT:
                break
            value = producer.inputs[0]
        if way and way[-1] in by_output and by_output[way[-1]].op == "Conv":
            found |= set(way)
    return found
