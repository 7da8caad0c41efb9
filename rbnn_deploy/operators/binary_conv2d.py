"""Attributes, shapes and schema of `ai.rbnn::BinaryConv2d` (docs/ops/BinaryConv2d.md)."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self, get_args

import onnx

from rbnn_deploy.bits import packed_size
from rbnn_deploy.operators.domain import BINARY_CONV2D, DOMAIN, DOMAIN_VERSION

Threshold = Literal["sample_mean", "zero"]
Activation = Literal["none", "hardtanh", "relu"]


@dataclass(frozen=True)
class BinaryConv2dAttributes:
    """The attributes of one BinaryConv2d node; every one is written on the node.

    Attributes:
        channels: Input channels C.
        strides: (vertical, horizontal), at least 1.
        pads: ONNX order: (top, left, bottom, right), at least 0.
        dilations: (vertical, horizontal), at least 1.
        groups: Divides both C and O.
        threshold: The value that activations are compared with: the mean of their sample, or zero.
        activation: Applied last.
    """

    channels: int
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)
    groups: int = 1
    threshold: Threshold = "sample_mean"
    activation: Activation = "none"

    def __post_init__(self) -> None:
        """Checks every value.

        Raises:
            ValueError: A value is outside its domain.
        """
        if self.channels < 1 or self.groups < 1 or self.channels % self.groups:
            raise ValueError(
                f"groups ({self.groups}) must divide channels ({self.channels}), both at least 1"
            )
        for name, count, lowest in (("strides", 2, 1), ("dilations", 2, 1), ("pads", 4, 0)):
            values = getattr(self, name)
            if len(values) != count or any(value < lowest for value in values):
                raise ValueError(f"{name} must be {count} integers of at least {lowest}, not {list(values)}")
        for name, choices in (("threshold", get_args(Threshold)), ("activation", get_args(Activation))):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, not {getattr(self, name)!r}")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Builds the attributes from ONNX attribute values (lists and strings).

        Raises:
            ValueError: An attribute is missing or outside its domain.
        """
        names = cls.__dataclass_fields__
        missing = [name for name in names if name not in values]
        if missing:
            raise ValueError(f"{BINARY_CONV2D}: attributes missing: {', '.join(missing)}")
        arguments: dict[str, Any] = {
            n: tuple(values[n]) if isinstance(values[n], list) else values[n] for n in names
        }
        return cls(**arguments)

    @classmethod
    def from_node(cls, node: onnx.NodeProto) -> Self:
        """Reads the attributes of a BinaryConv2d node.

        Raises:
            ValueError: An attribute is missing or outside its domain.
        """
        values = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        return cls.from_mapping({k: v.decode() if isinstance(v, bytes) else v for k, v in values.items()})

    def to_dict(self) -> dict[str, Any]:
        """Returns the attributes as ONNX writes them: tuples as lists."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @property
    def packed_channels(self) -> int:
        """Bytes that one tap's weights of one output channel take: ceil(C / groups / 8)."""
        return packed_size(self.channels // self.groups)

    def output_size(self, size: tuple[int, int], kernel: tuple[int, int]) -> tuple[int, int]:
        """Computes (OH, OW) for an input map of `size` (H, W) and a kernel (KH, KW).

        Raises:
            ValueError: The kernel does not fit into the padded map.
        """
        (top, left, bottom, right) = self.pads
        out = []
        for extent, pad, taps, stride, dilation in zip(
            size, (top + bottom, left + right), kernel, self.strides, self.dilations, strict=True
        ):
            span = extent + pad - dilation * (taps - 1) - 1
            if span < 0:
                raise ValueError(
                    f"a kernel of {kernel} dilated by {self.dilations} exceeds the padded map {size}"
                )
            out.append(span // stride + 1)
        return (out[0], out[1])


def binary_conv2d_schema(domain: str = DOMAIN, version: int = DOMAIN_VERSION) -> onnx.defs.OpSchema:
    """Builds the operator's schema for tools that ask for one; all attributes are required.

    Args:
        domain: Of the operator; the exporter has a channels-first form of its own domain.
        version: Of the domain.
    """
    parameter, attribute = onnx.defs.OpSchema.FormalParameter, onnx.defs.OpSchema.Attribute
    types = onnx.defs.OpSchema.AttrType
    optional = onnx.defs.OpSchema.FormalParameterOption.Optional
    return onnx.defs.OpSchema(
        BINARY_CONV2D,
        domain,
        version,
        doc="Binary convolution of channels-last activations; see docs/ops/BinaryConv2d.md.",
        inputs=[
            parameter("X", "tensor(float)", "[N, H, W, C]"),
            parameter("W", "tensor(uint8)", "[O, KH, KW, ceil(C / groups / 8)]"),
            parameter("scale", "tensor(float)", "[O]"),
            parameter("bias", "tensor(float)", "[O]"),
            parameter("R", "tensor(float)", "[N, OH, OW, O] or one element", param_option=optional),
        ],
        outputs=[parameter("Y", "tensor(float)", "[N, OH, OW, O]")],
        attributes=[
            attribute("channels", types.INT, "C"),
            attribute("strides", types.INTS, "(vertical, horizontal)"),
            attribute("pads", types.INTS, "(top, left, bottom, right)"),
            attribute("dilations", types.INTS, "(vertical, horizontal)"),
            attribute("groups", types.INT, "divides C and O"),
            attribute("threshold", types.STRING, "sample_mean or zero"),
            attribute("activation", types.STRING, "none, hardtanh or relu"),
        ],
    )
