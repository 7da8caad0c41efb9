"""Nodes that the bodies of model-local functions are made of, and the functions themselves."""

import onnx
from onnx import AttributeProto, FunctionProto, NodeProto, TensorProto, helper

from rbnn_deploy.operators import DOMAIN, OPERATORS, Operator

ML_DOMAIN = "ai.onnx.ml"
ML_VERSION = 3
_KINDS = {
    field.name: getattr(AttributeProto, field.kind)
    for operator in OPERATORS.values()
    for field in operator.attributes.fields()
}


def refer(node: NodeProto, name: str, source: str) -> None:
    """Gives a node an attribute whose value is that of the calling node's attribute `source`."""
    node.attribute.append(AttributeProto(name=name, ref_attr_name=source, type=_KINDS[source]))


def attribute(output: str, source: str) -> NodeProto:
    """Makes a Constant whose value is the calling node's attribute."""
    node = helper.make_node("Constant", [], [output])
    names = {
        AttributeProto.INT: "value_int",
        AttributeProto.INTS: "value_ints",
        AttributeProto.STRING: "value_string",
    }
    refer(node, names[_KINDS[source]], source)
    return node


def integers(output: str, *values: int, scalar: bool = False) -> NodeProto:
    """Makes a Constant of integers."""
    tensor = helper.make_tensor(output, TensorProto.INT64, [] if scalar else [len(values)], values)
    return helper.make_node("Constant", [], [output], value=tensor)


def floats(output: str, value: float, kind: int = TensorProto.FLOAT) -> NodeProto:
    """Makes a Constant of one number."""
    return helper.make_node("Constant", [], [output], value=helper.make_tensor(output, kind, [], [value]))


def lookup(key: str, output: str, table: dict[str, float]) -> NodeProto:
    """Makes the node that maps a string to a number."""
    return helper.make_node(
        "LabelEncoder",
        [key],
        [output],
        domain=ML_DOMAIN,
        keys_strings=list(table),
        values_floats=list(table.values()),
    )


def make_function(operator: Operator, nodes: list[NodeProto], opset: int) -> FunctionProto:
    """Makes an operator's function: of its name, with all its inputs and attributes, and the output Y."""
    return helper.make_function(
        DOMAIN,
        operator.name,
        list(operator.input_names()),
        ["Y"],
        nodes,
        [helper.make_opsetid("", opset), helper.make_opsetid(ML_DOMAIN, ML_VERSION)],
        attributes=list(operator.attributes.names()),
        doc_string=f"In standard operators; see docs/ops/{operator.name}.md of rbnn-deploy.",
    )


def function_opsets() -> list[onnx.OperatorSetIdProto]:
    """Returns the domains beside the default one that a model with this function imports."""
    return [helper.make_opsetid(ML_DOMAIN, ML_VERSION)]
