"""`ai.rbnn::PackSigns` and `UnpackSigns` (docs/ops/): their attributes and inputs."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from rbnn_deploy.operators.domain import PACK_SIGNS, UNPACK_SIGNS
from rbnn_deploy.operators.fields import Input, Operator, OperatorAttributes, Within

_MAP, _PACKED = "[N, H, W, C]", "[N, H, W, ceil(C / 8)]"


@dataclass(frozen=True)
class PackSignsAttributes(OperatorAttributes):
    """PackSigns has none."""

    operator: ClassVar[str] = PACK_SIGNS


@dataclass(frozen=True)
class UnpackSignsAttributes(OperatorAttributes):
    """The attribute of one UnpackSigns node."""

    operator: ClassVar[str] = UNPACK_SIGNS

    channels: Annotated[int, Within("channels C", least=1)]


PACK_SIGNS_OPERATOR = Operator(
    PACK_SIGNS,
    (Input("X", "float", _MAP), Input("T", "float", "[C] or one element")),
    _PACKED,
    PackSignsAttributes,
    "uint8",
)
UNPACK_SIGNS_OPERATOR = Operator(UNPACK_SIGNS, (Input("X", "uint8", _PACKED),), _MAP, UnpackSignsAttributes)
