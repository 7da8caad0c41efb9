"""The row of a QuantConv2d in `inspect`, counted by hand."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rbnn_deploy.inspecting import LayerSummary, inspect_onnx
from rbnn_deploy.operators import DOMAIN, DOMAIN_VERSION, QUANT_CONV2D, QuantConv2dAttributes


def stem(size: tuple[int | str, int | str]) -> onnx.ModelProto:
    """A model of one 7 x 7 layer with stride 2 and a max pool behind."""
    attributes = QuantConv2dAttributes(
        3,
        strides=(2, 2),
        pads=(3, 3, 3, 3),
        layout="channels_first",
        pool_kernel=(3, 3),
        pool_strides=(2, 2),
        pool_pads=(1, 1, 1, 1),
    )
    constants = {
        "W": np.ones((64, 7, 7, 3), np.int8),
        "scale": np.ones(64, np.float32),
        "bias": np.ones(64, np.float32),
        "factor": np.ones(1, np.float32),
    }
    node = helper.make_node(
        QUANT_CONV2D, ["X", *constants], ["Y"], name="conv1", domain=DOMAIN, **attributes.to_dict()
    )
    graph = helper.make_graph(
        [node],
        "stem",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["N", 3, *size])],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, DOMAIN_VERSION)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def test_products_are_counted_in_front_of_the_pool(tmp_path: Path) -> None:
    onnx.save(stem((224, 224)), tmp_path / "m.onnx")
    summary = inspect_onnx(tmp_path / "m.onnx")
    weights = 64 * 7 * 7 * 3
    live = 4 * (3 * 224 * 224 + 56 * 56 * 64)
    assert summary.layers == (
        LayerSummary(
            "conv1",
            "int8",
            "QuantConv2d 7x7",
            (56, 56, 64),
            weights,
            weights + 4 * (64 + 64 + 1),
            weights * 112 * 112,
            live,
        ),
    )
    assert (summary.float_size, summary.deployed_size) == (4 * (weights + 64), summary.layers[0].size)
    assert summary.to_json()["int8_macs"] == weights * 112 * 112
    assert "0 binary layers: 0 binary MACs, 0.0% of the MACs; 118,013,952 int8 MACs; 0 float MACs" in (
        " ".join(summary.to_text().split())
    )


def test_a_map_of_unknown_size(tmp_path: Path) -> None:
    onnx.save(stem(("H", "W_in")), tmp_path / "m.onnx")
    (layer,) = inspect_onnx(tmp_path / "m.onnx").layers
    assert (layer.output, layer.macs) == (None, None)
