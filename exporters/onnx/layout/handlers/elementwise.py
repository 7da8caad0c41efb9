"""Operators that act on each element by itself: the same operator on moved operands.

    f(T(x), T(y), c) = T(f(x, y, T'(c)))

T is the Transpose from NHWC to NCHW and T' its inverse. Constants have their axes moved now.
"""

from onnxscript import ir

from rbnn_deploy.exporters.onnx.graph import MAP_RANK, constant_array, is_map, shape_of
from rbnn_deploy.exporters.onnx.layout.handler import Handler, Site

UNARY = (
    "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "Cast", "Ceil", "Celu",
    "Clip", "Cos", "Cosh", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "Identity",
    "IsInf", "IsNaN", "LeakyRelu", "Log", "Mish", "Neg", "Not", "Reciprocal", "Relu", "Round", "Selu",
    "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Swish", "Tan", "Tanh",
    "ThresholdedRelu",
)  # fmt: skip
BROADCASTING = (
    "Add", "And", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Div", "Equal", "Greater", "GreaterOrEqual",
    "Less", "LessOrEqual", "Max", "Mean", "Min", "Mod", "Mul", "Or", "PRelu", "Pow", "Sub", "Sum",
    "Where", "Xor",
)  # fmt: skip


def _refusal(node: ir.Node) -> str:
    for value in node.inputs:
        array = constant_array(value)
        if value is None or is_map(value):
            continue
        if array is not None:
            if array.ndim > MAP_RANK:
                return "an operand has more than four axes"
            continue
        shape = shape_of(value)
        if shape is None or any(size != 1 for size in shape) or len(shape) > 1:
            return "an operand is neither constant, nor one element, nor known to have four axes"
    return ""


def _build(site: Site) -> list[ir.Value]:
    return list(site.copy([site.operand(index) for index in range(len(site.node.inputs))]))


HANDLERS = dict.fromkeys((*UNARY, *BROADCASTING), Handler(_build, _refusal))
