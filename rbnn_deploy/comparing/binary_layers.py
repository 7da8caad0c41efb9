"""The binary layers of a deployed model, in the order in which they run.

A layer binarises floats in front of it, or it reads bits that a layer before it has packed
(`PackedBinaryConv2d`). Of such a layer the signs alone are known: it is seen as reading +1 and -1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx

from rbnn_deploy.bits import pack_signs, unpack_signs
from rbnn_deploy.errors import UserError
from rbnn_deploy.onnx_graph import binary_conv_attributes, constants, is_binary_conv, producers
from rbnn_deploy.operators import (
    DOMAIN,
    OPERATORS,
    OPPOSITE_CHANNELS,
    PACK_SIGNS,
    PACKED_BINARY_CONV2D,
    UNPACK_SIGNS,
    ConvolutionAttributes,
    read_channels,
)

Float32 = npt.NDArray[np.float32]
Tensor = npt.NDArray[Any]
COMPUTED = ("X", "R")


@dataclass(frozen=True)
class BinaryLayer:
    """One node of a binary convolution.

    Attributes:
        name: The node's name, which is its torch module's, with "#2" behind it for the module's second call.
        attributes: The node's attributes.
        x: Name of the tensor to look at: the floats that are binarised, or the packed bits.
        y: Name of its output.
        residual: Name of its residual, where that is computed; None where it is a constant or absent.
        constants: Its constant inputs by their names in the operator's page: W, scale, bias ...
        thresholds: float32 [C] or [1], which are subtracted from x; None where the rule needs none.
        signs: int8 [C], +1 and -1, by which packed bits are multiplied to be the signs; None where x has
            floats.
    """

    name: str
    attributes: ConvolutionAttributes
    x: str
    y: str
    residual: str | None
    constants: Mapping[str, Tensor]
    thresholds: Float32 | None
    signs: npt.NDArray[np.int8] | None

    @property
    def signs_only(self) -> bool:
        """Whether x holds bits, so that nobody knows how far the floats were from their thresholds."""
        return self.signs is not None

    @property
    def rule(self) -> str:
        """The rule of its threshold; `zero` where it reads bits."""
        return str(self.attributes.to_dict().get("threshold", "zero"))

    @property
    def takes_bits(self) -> bool:
        """Whether the node's own X is uint8 [N, H, W, ceil(C / 8)], and not float32 [N, H, W, C]."""
        return self.attributes.operator == PACKED_BINARY_CONV2D

    def shifted(self, x: Tensor) -> Float32:
        """Returns the values whose comparison with the rule's threshold gives the bits.

        Thresholds per channel are subtracted: so the values are those of a torch layer whose plain sign has a
        shift in front. The sign of a difference is exact.

        Args:
            x: The tensor of that name.

        Returns:
            float32 [N, H, W, C]; +1 and -1 where x holds bits.
        """
        if self.signs is not None:
            return (unpack_signs(x, self.attributes.channels) * self.signs).astype(np.float32)
        found: Float32 = x if self.thresholds is None else x - self.thresholds
        return found

    def restored(self, x: Float32) -> Tensor:
        """Returns a value of the node's X that has the bits of shifted values.

        Args:
            x: float32 [N, H, W, C], shifted.

        Returns:
            Packed bits where the node takes such, else floats: on the threshold or next to it.
        """
        if self.signs is not None or self.takes_bits:
            signs = np.where(x >= 0, np.float32(1), np.float32(-1))
            signs = signs if self.signs is None else signs * self.signs
            return pack_signs(signs) if self.takes_bits else signs
        if self.thresholds is None:
            return x
        return np.where(x >= 0, self.thresholds, np.nextafter(self.thresholds, np.float32(-np.inf)))


def binary_layers(model: onnx.ModelProto, path: Path) -> list[BinaryLayer]:
    """Lists the model's binary layers; ONNX keeps nodes in an order in which they can run.

    Args:
        model: The parsed model.
        path: Its file, for messages.

    Raises:
        UserError: There is none, or one whose weights are not constants or whose attributes are invalid.
    """
    stored, made_by = constants(model.graph), producers(model.graph)
    layers = []
    for index, node in enumerate(model.graph.node):
        if not is_binary_conv(node):
            continue
        name = node.name or f"{node.op_type} {index}"
        names = OPERATORS[node.op_type].input_names()
        given = {key: value for key, value in zip(names, node.input, strict=False) if value}
        if any(given[key] not in stored for key in given if key not in COMPUTED):
            raise UserError(
                f"{path}: the weights of layer {name} are not stored in the model; export it again"
            )
        arrays = {key: stored[value] for key, value in given.items() if value in stored}
        residual = given.get("R") if "R" not in arrays else None
        try:
            attributes = binary_conv_attributes(node)
            source = _source(given["X"], attributes, arrays, stored, made_by)
        except ValueError as error:
            raise UserError(f"{path}: layer {name}: {error}; export the model again") from error
        layers.append(
            BinaryLayer(
                name=name,
                attributes=attributes,
                x=source.x,
                y=node.output[0],
                residual=residual,
                constants=arrays,
                thresholds=source.thresholds,
                signs=source.signs,
            )
        )
    if not layers:
        raise UserError(f"{path} has no binary layer; compare a model that `rbnn-deploy export` wrote")
    return layers


class _Source(NamedTuple):
    """What a layer reads; see `BinaryLayer`."""

    x: str
    thresholds: Float32 | None = None
    signs: npt.NDArray[np.int8] | None = None


def _source(
    x: str,
    attributes: ConvolutionAttributes,
    arrays: Mapping[str, Tensor],
    stored: Mapping[str, Tensor],
    made_by: Mapping[str, onnx.NodeProto],
) -> _Source:
    """Finds what a layer reads, behind the node that packs or unpacks it."""
    maker = made_by.get(x)
    kind = maker.op_type if maker is not None and maker.domain == DOMAIN else ""
    rule = attributes.to_dict().get("threshold")
    if maker is not None and kind == PACK_SIGNS and attributes.operator == PACKED_BINARY_CONV2D:
        if maker.input[1] not in stored:
            raise ValueError("the thresholds of its bits are not stored in the model")
        return _Source(maker.input[0], thresholds=stored[maker.input[1]].ravel())
    if attributes.operator == PACKED_BINARY_CONV2D:
        return _Source(x, signs=_signs(maker, attributes.channels))
    if maker is not None and kind == UNPACK_SIGNS and rule == "zero":
        bits = maker.input[0]
        return _Source(bits, signs=_signs(made_by.get(bits), attributes.channels))
    return _Source(x, thresholds=arrays["T"].ravel() if rule == "per_channel" else None)


def _signs(maker: onnx.NodeProto | None, channels: int) -> npt.NDArray[np.int8]:
    """Returns by what the packed bits of a node are multiplied to be signs, int8 [C]."""
    found = np.ones(channels, np.int8)
    place = "the layer in front" if maker is None or not maker.name else maker.name
    if maker is None or (maker.domain, maker.op_type) != (DOMAIN, PACKED_BINARY_CONV2D):
        return found
    properties = {entry.key: entry.value for entry in maker.metadata_props}
    if OPPOSITE_CHANNELS not in properties:
        raise ValueError(
            f"nobody knows which of its bits are opposite to signs, because {place} has lost its property "
            f"{OPPOSITE_CHANNELS}"
        )
    try:
        found[list(read_channels(properties[OPPOSITE_CHANNELS], channels))] = -1
    except ValueError as error:
        raise ValueError(f"{error} at {place}") from None
    return found
