"""The binary layers of a deployed model, in the order in which they run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from rbnn_deploy.errors import UserError
from rbnn_deploy.onnx_graph import binary_conv_attributes, constants, is_binary_conv
from rbnn_deploy.operators import OPERATORS, PACKED_BINARY_CONV2D, ConvolutionAttributes

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class BinaryLayer:
    """One node of a binary convolution.

    Attributes:
        name: The node's name, which is its torch module's, with "#2" behind it for the module's second call.
        attributes: The node's attributes.
        x: Name of the tensor that it binarises.
        y: Name of its output.
        residual: Name of its residual, where that is computed; None where it is a constant or absent.
        constants: Its constant inputs by their names in the operator's page: W, scale, bias ...
    """

    name: str
    attributes: ConvolutionAttributes
    x: str
    y: str
    residual: str | None
    constants: Mapping[str, npt.NDArray[Any]]

    @property
    def rule(self) -> str:
        """The rule of its threshold."""
        return str(self.attributes.to_dict()["threshold"])

    def shifted(self, X: Float32) -> Float32:
        """Returns the values whose comparison with the rule's threshold gives the bits, as X.

        Thresholds per channel are subtracted: so the values are those of a torch layer whose plain sign has a
        shift in front. The sign of a difference is exact.
        """
        return X - self.constants["T"].ravel() if self.rule == "per_channel" else X

    def restored(self, x: Float32) -> Float32:
        """Returns an X that has the bits of shifted values: on its threshold, or next to it."""
        if self.rule != "per_channel":
            return x
        T = self.constants["T"].ravel()
        return np.where(x >= 0, T, np.nextafter(T, np.float32(-np.inf)))


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
        if node.op_type == PACKED_BINARY_CONV2D:
            raise UserError(
                f"{path}: layer {name} passes bits on, so no floats are there to compare; compare the model "
                "exported without --bits-between-layers, whose outputs are the same bits"
            )
        names = OPERATORS[node.op_type].input_names()
        given = {key: value for key, value in zip(names, node.input, strict=False) if value}
        if any(given[key] not in stored for key in given if key not in ("X", "R")):
            raise UserError(
                f"{path}: the weights of layer {name} are not stored in the model; export it again"
            )
        try:
            attributes = binary_conv_attributes(node)
        except ValueError as error:
            raise UserError(f"{path}: layer {name}: {error}; export the model again") from error
        arrays = {key: stored[value] for key, value in given.items() if value in stored}
        residual = given.get("R") if "R" not in arrays else None
        layers.append(BinaryLayer(name, attributes, given["X"], node.output[0], residual, arrays))
    if not layers:
        raise UserError(f"{path} has no binary layer; compare a model that `rbnn-deploy export` wrote")
    return layers
