"""The model-local function behind BinaryConv2d: its definition in standard operators, and the fallback.

Where the operator library is not registered a runtime inlines this body. It follows docs/ops/BinaryConv2d.md
step by step. Two things are not obvious:

- `threshold` and `activation` are strings, which standard operators cannot compare at opset 18; LabelEncoder
  (ai.onnx.ml) maps them to numbers, and runtimes fold the result, a constant, when they load the model.
- All activations are one Clip, whose bounds are infinite where there is none.
"""

import onnx
from onnx import AttributeProto, FunctionProto, NodeProto, TensorProto, helper

from rbnn_deploy.bits import BITS_PER_BYTE
from rbnn_deploy.operators import BINARY_CONV2D_OPERATOR, BOUNDS, CONV_ATTRIBUTES, DOMAIN

ML_DOMAIN = "ai.onnx.ml"
ML_VERSION = 3
_OPERATOR = BINARY_CONV2D_OPERATOR
_KINDS = {field.name: getattr(AttributeProto, field.kind) for field in _OPERATOR.attributes.fields()}


def _refer(node: NodeProto, name: str, source: str) -> None:
    """Gives a node an attribute whose value is that of the calling node's attribute `source`."""
    node.attribute.append(AttributeProto(name=name, ref_attr_name=source, type=_KINDS[source]))


def _attribute(output: str, source: str) -> NodeProto:
    """Makes a Constant whose value is the calling node's attribute, an integer or a string."""
    node = helper.make_node("Constant", [], [output])
    _refer(node, "value_int" if _KINDS[source] == AttributeProto.INT else "value_string", source)
    return node


def _integers(output: str, *values: int, scalar: bool = False) -> NodeProto:
    tensor = helper.make_tensor(output, TensorProto.INT64, [] if scalar else [len(values)], values)
    return helper.make_node("Constant", [], [output], value=tensor)


def _floats(output: str, value: float, kind: int = TensorProto.FLOAT) -> NodeProto:
    return helper.make_node("Constant", [], [output], value=helper.make_tensor(output, kind, [], [value]))


def _lookup(key: str, output: str, table: dict[str, float]) -> NodeProto:
    return helper.make_node(
        "LabelEncoder",
        [key],
        [output],
        domain=ML_DOMAIN,
        keys_strings=list(table),
        values_floats=list(table.values()),
    )


def _threshold() -> list[NodeProto]:
    """T per sample: the float64 mean, rounded to float32, or zero. t: [N, 1, 1, 1]."""
    node = helper.make_node
    return [
        _integers("sample_axes", 1, 2, 3),
        node("Cast", ["X"], ["x64"], to=TensorProto.DOUBLE),
        node("ReduceMean", ["x64", "sample_axes"], ["mean64"], keepdims=1),
        node("Cast", ["mean64"], ["mean"], to=TensorProto.FLOAT),
        _attribute("threshold_name", "threshold"),
        _lookup("threshold_name", "centred_float", {"sample_mean": 1.0, "zero": 0.0}),
        node("Cast", ["centred_float"], ["centred"], to=TensorProto.BOOL),
        _floats("zero", 0.0),
        node("Where", ["centred", "mean", "zero"], ["t"]),
    ]


def _signs() -> list[NodeProto]:
    """Activations as +1 and -1, channels first. signs: [N, C, H, W]."""
    node = helper.make_node
    return [
        node("GreaterOrEqual", ["X", "t"], ["bits"]),
        _floats("plus", 1.0),
        _floats("minus", -1.0),
        node("Where", ["bits", "plus", "minus"], ["signs_last"]),
        node("Transpose", ["signs_last"], ["signs"], perm=[0, 3, 1, 2]),
    ]


def _weights() -> list[NodeProto]:
    """Weights as +1 and -1. weights: [O, C / groups, KH, KW]."""
    node = helper.make_node
    shifts = helper.make_tensor("shifts", TensorProto.UINT8, [BITS_PER_BYTE], list(range(BITS_PER_BYTE)))
    one = helper.make_tensor("one_u8", TensorProto.UINT8, [], [1])
    return [
        _integers("last", -1),
        node("Unsqueeze", ["W", "last"], ["bytes"]),
        node("Constant", [], ["shifts"], value=shifts),
        node("BitShift", ["bytes", "shifts"], ["shifted"], direction="RIGHT"),
        node("Constant", [], ["one_u8"], value=one),
        node("BitwiseAnd", ["shifted", "one_u8"], ["weight_bits"]),
        _integers("merge_last_two", 0, 0, 0, -1),
        node("Reshape", ["weight_bits", "merge_last_two"], ["with_tail"]),
        _attribute("channels_value", "channels"),
        _attribute("groups_value", "groups"),
        node("Div", ["channels_value", "groups_value"], ["group_channels"]),
        _integers("first_axis", 0),
        node("Unsqueeze", ["group_channels", "first_axis"], ["slice_end"]),
        _integers("slice_start", 0),
        _integers("slice_axis", 3),
        node("Slice", ["with_tail", "slice_start", "slice_end", "slice_axis"], ["without_tail"]),
        node("Transpose", ["without_tail"], ["weights_first"], perm=[0, 3, 1, 2]),
        node("Cast", ["weights_first"], ["weights01"], to=TensorProto.FLOAT),
        _floats("two", 2.0),
        node("Mul", ["weights01", "two"], ["weights02"]),
        node("Sub", ["weights02", "plus"], ["weights"]),
    ]


def _convolution() -> list[NodeProto]:
    """The exact integer sums, channels last. acc: [N, OH, OW, O]."""
    conv = helper.make_node("Conv", ["signs", "weights"], ["acc_first"])
    for name, source in CONV_ATTRIBUTES.items():
        _refer(conv, name, source)
    return [conv, helper.make_node("Transpose", ["acc_first"], ["acc"], perm=[0, 2, 3, 1])]


def _epilogue() -> list[NodeProto]:
    node = helper.make_node
    return [
        node("Mul", ["acc", "scale"], ["scaled"]),
        node("Add", ["scaled", "bias"], ["biased"]),
        node("Add", ["biased", "R"], ["summed"]),
        _attribute("activation_name", "activation"),
        _lookup("activation_name", "low", {name: low for name, (low, _) in BOUNDS.items()}),
        _lookup("activation_name", "high", {name: high for name, (_, high) in BOUNDS.items()}),
        node("Clip", ["summed", "low", "high"], ["Y"]),
    ]


def binary_conv2d_function(opset: int = 18) -> FunctionProto:
    """Builds the function.

    Args:
        opset: Version of the default domain in the model that will hold it, at least 18 (BitwiseAnd).

    Returns:
        A function of exactly five inputs; a node without a residual passes one element 0 as R.
    """
    return helper.make_function(
        DOMAIN,
        _OPERATOR.name,
        list(_OPERATOR.input_names()),
        ["Y"],
        [*_threshold(), *_signs(), *_weights(), *_convolution(), *_epilogue()],
        [helper.make_opsetid("", opset), helper.make_opsetid(ML_DOMAIN, ML_VERSION)],
        attributes=list(_OPERATOR.attributes.names()),
        doc_string="Binary convolution in standard operators; see docs/ops/BinaryConv2d.md of rbnn-deploy.",
    )


def function_opsets() -> list[onnx.OperatorSetIdProto]:
    """Returns the domains beside the default one that a model with this function imports."""
    return [helper.make_opsetid(ML_DOMAIN, ML_VERSION)]
