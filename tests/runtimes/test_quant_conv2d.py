"""QuantConv2d: sizes of its maps, refused attributes and inputs; in the NumPy backend and in files."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from support.nodes import operator_model_of
from support.oracle import same_bits
from support.quant_cases import QuantCase, quant_cases

from rbnn_deploy.errors import UserError
from rbnn_deploy.model_files import read_model
from rbnn_deploy.operators import QUANT_CONV2D, QuantConv2dAttributes
from rbnn_deploy.runtimes.numpy_backend.quant_conv2d import quant_conv2d
from rbnn_deploy.runtimes.numpy_backend.runtime import NumpyRuntime
from rbnn_deploy.shape_inference import static_shapes

ATTRIBUTES: dict[str, Any] = QuantConv2dAttributes(channels=4, pads=(1, 1, 1, 1)).to_dict()


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def arrays(**changed: np.ndarray | None) -> dict[str, Any]:
    """Inputs that fit ATTRIBUTES, with some changed."""
    rng = np.random.default_rng(5)
    fitting = {
        "X": rng.standard_normal((2, 5, 6, 4), dtype=np.float32),
        "W": rng.integers(-128, 128, (6, 3, 3, 4), np.int8),
        "scale": rng.standard_normal(6, dtype=np.float32),
        "bias": rng.standard_normal(6, dtype=np.float32),
        "factor": np.float32([20]),
        "R": None,
    }
    return fitting | changed


def stored_model(values: dict[str, Any], attributes: dict[str, Any]) -> onnx.ModelProto:
    """A model of one node whose inputs beside X and R are stored."""
    model = operator_model_of(QUANT_CONV2D, values, attributes)
    for value in list(model.graph.input):
        if value.name not in ("X", "R"):
            model.graph.initializer.append(numpy_helper.from_array(values[value.name], value.name))
            model.graph.input.remove(value)
    return model


@pytest.mark.parametrize(
    ("attributes", "sentence"),
    [
        ({"low": 1}, "low must be an integer from -255 to 0, not 1"),
        ({"high": 256}, "high must be an integer from 0 to 255, not 256"),
        ({"low": -128, "high": 128}, "high - low must be at most 255, not 128 - -128"),
        ({"layout": "nchw"}, "layout must be one of channels_first, channels_last, not 'nchw'"),
        ({"mean_kernel": [-1, 1]}, "mean_kernel must be 2 integers from 0 to"),
        ({"mean_strides": [1, 0]}, "mean_strides must be 2 integers from 1 to"),
        ({"pool_kernel": [0, 1]}, "pool_kernel must be 2 integers from 1 to"),
        ({"pool_pads": [0, 1, 0, 0]}, r"pool_pads \[0, 1, 0, 0\] must be smaller than pool_kernel \[1, 1\]"),
        ({"activation": "prelu"}, "activation must be one of none, hardtanh, relu"),
    ],
)
def test_a_value_outside_its_domain_is_refused(
    attributes: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=sentence):
        QuantConv2dAttributes.from_mapping(ATTRIBUTES | attributes)
    onnx.save(stored_model(arrays(), ATTRIBUTES | attributes), tmp_path / "m.onnx")
    with pytest.raises(UserError, match=f"QuantConv2d: {sentence}"):
        read_model(tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("values", "attributes", "sentence"),
    [
        (
            {"W": np.zeros((6, 3, 3, 5), np.int8)},
            {},
            r"W must have shape \[O, KH, KW, 4\], not \[6, 3, 3, 5\]",
        ),
        ({"W": np.zeros((0, 3, 3, 4), np.int8)}, {}, "W must have shape"),
        ({"W": np.zeros((6, 3, 3, 4), np.uint8)}, {}, "W must be int8"),
        ({"scale": zeros(5)}, {}, r"scale must have shape \[6\], not \[5\]"),
        ({"bias": zeros(6, 1)}, {}, r"bias must have shape \[6\], not \[6, 1\]"),
        ({"factor": zeros(6)}, {}, r"factor must have one element, not shape \[6\]"),
        ({"factor": np.zeros(1, np.float64)}, {}, "factor must be float"),
        ({"W": np.zeros((6, 3, 3, 1), np.int8)}, {"groups": 4}, r"groups \(4\) must divide the output"),
        (
            {"X": zeros(1, 130, 130, 4), "W": np.zeros((1, 130, 130, 4), np.int8), "scale": zeros(1)}
            | {"bias": zeros(1)},
            {"low": 0, "high": 255},
            "a sum of 67600 products can exceed int32",
        ),
    ],
)
def test_a_wrong_constant_is_refused(
    values: dict[str, Any], attributes: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    given, attributes = arrays(**values), ATTRIBUTES | attributes
    with pytest.raises(ValueError, match=f"QuantConv2d: {sentence}"):
        quant_conv2d(**given, attributes=QuantConv2dAttributes.from_mapping(attributes))
    onnx.save(stored_model(given, attributes), tmp_path / "m.onnx")
    with pytest.raises(UserError, match=f"QuantConv2d: {sentence}"):
        read_model(tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("values", "attributes", "sentence"),
    [
        ({"X": zeros(2, 5, 6, 3)}, {}, r"X must have shape \[N, H, W, 4\], not \[2, 5, 6, 3\]"),
        ({}, {"layout": "channels_first"}, r"X must have shape \[N, 4, H, W\], not \[2, 5, 6, 4\]"),
        ({"X": zeros(2, 0, 6, 4)}, {}, "H and W of X must be at least 1"),
        ({"X": np.zeros((2, 5, 6, 4), np.float64)}, {}, "X must be float32, not float64"),
        ({"R": zeros(2, 5, 6, 5)}, {}, r"R must have shape \[2, 5, 6, 6\] or one element"),
        ({}, {"mean_kernel": [6, 6]}, r"a mean over \(6, 6\) exceeds the map \(5, 6\)"),
        ({}, {"mean_kernel": [0, 0], "pads": [0] * 4}, "a kernel of .* exceeds the padded map"),
        ({}, {"pool_kernel": [6, 1]}, r"a pool window of \(6, 1\) exceeds the padded map \(5, 6\)"),
        ({}, {"pads": [9000, 9000, 9000, 9000]}, "pads make an output map of"),
        ({}, {"pool_kernel": [9000] * 2, "pool_pads": [8999] * 4}, "pads make an output map of"),
    ],
)
def test_a_wrong_map_is_refused_when_it_comes(
    values: dict[str, Any], attributes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=f"QuantConv2d: {sentence}"):
        quant_conv2d(
            **arrays(**values), attributes=QuantConv2dAttributes.from_mapping(ATTRIBUTES | attributes)
        )


def test_a_huge_pool_window_costs_no_more_than_its_map() -> None:
    size = 2**31 - 1
    a = QuantConv2dAttributes(4, pads=(1,) * 4, pool_kernel=(size, size), pool_pads=(size - 1,) * 4)
    with pytest.raises(ValueError, match="pads make an output map of"):
        quant_conv2d(**arrays(), attributes=a)
    strides = (size, size)
    a = QuantConv2dAttributes(
        4, pads=(1,) * 4, pool_kernel=(size, size), pool_pads=(size - 1, 0, 0, size - 1), pool_strides=strides
    )
    whole = quant_conv2d(**arrays(), attributes=QuantConv2dAttributes(4, pads=(1,) * 4))
    y = quant_conv2d(**arrays(), attributes=a)
    assert y.shape == (2, 1, 1, 6)
    assert np.array_equal(y, whole[:, :1].max(axis=(1, 2), keepdims=True))


def test_a_residual_with_an_empty_name_is_refused(tmp_path: Path) -> None:
    model = stored_model(arrays(), ATTRIBUTES)
    model.graph.node[0].input.append("")
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(UserError, match="its input R has an empty name; leave it out"):
        read_model(tmp_path / "m.onnx")


@pytest.mark.parametrize("case", [case for case in quant_cases(60) if dict(case.row)["batch"]], ids=str)
def test_a_file_of_one_node(case: QuantCase, tmp_path: Path) -> None:
    values = case.arrays()
    model = stored_model(values, case.attributes.to_dict())
    x = next(value for value in model.graph.input if value.name == "X")
    for dimension, size in zip(x.type.tensor_type.shape.dim[1:], values["X"].shape[1:], strict=True):
        dimension.dim_value = size
    want = quant_conv2d(**values, attributes=case.attributes)
    assert static_shapes(model)["Y"][1:] == want.shape[1:]
    onnx.save(model, tmp_path / "m.onnx")
    feeds = {name: value for name, value in values.items() if name in ("X", "R") and value is not None}
    got = NumpyRuntime(tmp_path / "m.onnx").run_with(feeds, ["Y"])["Y"]
    assert same_bits(got, want)
