"""The table of an operator's attributes: bounds, and everything in Python that is made from it."""

import subprocess
import sys
from typing import Any

import pytest
from support.nodes import ATTRIBUTES

from rbnn_deploy.exporters.onnx.functions import binary_conv2d_function
from rbnn_deploy.operators import BINARY_CONV2D_OPERATOR, BOUNDS, BinaryConv2dAttributes, activation_between
from rbnn_deploy.operators.fields import LARGEST
from rbnn_deploy.operators.schema import operator_schema
from rbnn_deploy.pytorch.folding.torch_operator import binary_conv2d


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("channels", 0, "channels must be an integer from 1 to 2147483647, not 0"),
        ("channels", LARGEST + 1, "not 2147483648"),
        ("channels", [8], r"not \[8\]"),
        ("channels", 8.0, "not 8.0"),
        ("channels", "8", "not '8'"),
        ("strides", [1], r"strides must be 2 integers from 1 to 2147483647, not \[1\]"),
        ("strides", 1, "not 1"),
        ("pads", [0, 0, -1, 0], r"pads must be 4 integers from 0 to 2147483647, not \[0, 0, -1, 0\]"),
        ("dilations", [1, 0], r"not \[1, 0\]"),
        ("threshold", "median", "threshold must be one of sample_mean, zero, not 'median'"),
        ("threshold", b"\xff", "threshold must be one of"),
        ("activation", 1, "activation must be one of none, hardtanh, relu, not 1"),
        ("activation", ["relu"], "activation must be one of"),
        ("groups", 3, r"groups \(3\) must divide channels \(8\)"),
    ],
)
def test_a_value_outside_its_domain_is_refused(name: str, value: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        BinaryConv2dAttributes.from_mapping(ATTRIBUTES | {name: value})


def test_all_missing_attributes_are_named() -> None:
    some = {name: value for name, value in ATTRIBUTES.items() if name not in ("pads", "threshold")}
    with pytest.raises(ValueError, match="BinaryConv2d: attributes missing: pads, threshold"):
        BinaryConv2dAttributes.from_mapping(some)


def test_attributes_survive_onnx() -> None:
    attributes = BinaryConv2dAttributes(8, (1, 2), (1, 2, 3, 4), (2, 1), 4, "zero", "relu")
    values = attributes.to_dict()
    assert BinaryConv2dAttributes.from_mapping(values) == attributes
    assert BinaryConv2dAttributes.from_values(*values.values()) == attributes
    as_bytes = {name: v.encode() if isinstance(v, str) else v for name, v in values.items()}
    assert BinaryConv2dAttributes.from_mapping(as_bytes) == attributes
    assert attributes.conv_attributes() == {
        "strides": [1, 2],
        "pads": [1, 2, 3, 4],
        "dilations": [2, 1],
        "group": 4,
    }


def test_schema_torch_operator_and_function_follow_the_table() -> None:
    fields = BinaryConv2dAttributes.fields()
    schema = operator_schema(BINARY_CONV2D_OPERATOR)
    assert {n: a.type.name for n, a in schema.attributes.items()} == {f.name: f.kind for f in fields}
    assert all(attribute.required for attribute in schema.attributes.values())
    arguments = binary_conv2d._opoverload._schema.arguments[4:]
    types = {"INT": "int", "INTS": "List[int]", "STRING": "str"}
    assert [(a.name, str(a.type)) for a in arguments] == [(f.name, types[f.kind]) for f in fields]
    function = binary_conv2d_function()
    assert list(function.attribute) == [field.name for field in fields]
    assert list(function.input) == [value.name for value in schema.inputs]


def test_an_activation_is_known_by_its_bounds() -> None:
    assert {activation_between(*bounds): bounds for bounds in BOUNDS.values()} == dict(BOUNDS)
    assert activation_between(-1.0, 2.0) is None


def test_the_table_needs_no_onnx() -> None:
    code = (
        "import sys, rbnn_deploy.runtimes.numpy_backend.binary_conv2d as _; assert 'onnx' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd="/")
