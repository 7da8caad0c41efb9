"""The binary layers of a deployed model, in the order in which they run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx

from rbnn_deploy.errors import UserError
from rbnn_deploy.onnx_graph import binary_conv_attributes, constants, is_binary_conv
from rbnn_deploy.operators import BinaryConv2dAttributes


@dataclass(frozen=True)
class BinaryLayer:
    """One BinaryConv2d node.

    Attributes:
        name: The node's name, which is its torch module's, with "#2" behind it for the module's second call.
        attributes: The node's attributes.
        x: Name of the tensor that it binarises.
        y: Name of its output.
        residual: Name of its residual, where that is computed; None where it is a constant or absent.
        constants: Its constant inputs: W, scale, bias, and R if that is one.
    """

    name: str
    attributes: BinaryConv2dAttributes
    x: str
    y: str
    residual: str | None
    constants: tuple[npt.NDArray[Any], ...]


def binary_layers(model: onnx.ModelProto, path: Path) -> list[BinaryLayer]:
    """Lists the model's binary layers; ONNX keeps nodes in an order in which they can run.

    Args:
        model: The parsed model.
        path: Its file, for messages.

    Raises:
        UserError: There is none, or one whose weights are not constants or whose attributes are invalid.
    """
    stored = constants(model.graph)
    layers = []
    for index, node in enumerate(model.graph.node):
        if not is_binary_conv(node):
            continue
        name = node.name or f"{node.op_type} {index}"
        x, *others = node.input
        given = [other for other in others if other]
        computed = [other for other in given if other not in stored]
        if any(other not in stored for other in others[:3]):
            raise UserError(
                f"{path}: the weights of layer {name} are not stored in the model; export it again"
            )
        try:
            attributes = binary_conv_attributes(node)
        except ValueError as error:
            raise UserError(f"{path}: layer {name}: {error}; export the model again") from error
        if not isinstance(attributes, BinaryConv2dAttributes):
            raise UserError(
                f"{path}: layer {name} is of operator {node.op_type}, whose differences cannot be explained "
                "yet; compare what `rbnn-deploy run` finds instead"
            )
        arrays = tuple(stored[other] for other in given if other in stored)
        layers.append(
            BinaryLayer(name, attributes, x, node.output[0], computed[0] if computed else None, arrays)
        )
    if not layers:
        raise UserError(f"{path} has no binary layer; compare a model that `rbnn-deploy export` wrote")
    return layers
