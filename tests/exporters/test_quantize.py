"""Float layers in int8: arrangement is exact, quantising stays within its step, the rest is unchanged."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper
from onnxscript import ir
from torch import Tensor, nn

from rbnn_deploy.errors import UserError
from rbnn_deploy.exporters.onnx import BuiltModel, build_model
from rbnn_deploy.exporters.onnx.passes.pair_pixels import PairPixels, pair_rows_and_columns
from rbnn_deploy.exporters.onnx.quantize import quantize_layers
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.operators import BINARY_CONV2D
from rbnn_deploy.pytorch.layers import RotatedBinaryConv2d

SIZE = 32


class Network(nn.Module):
    """Float stem, float 1 x 1 shortcut and float head, large enough to be worth quantising."""

    def __init__(self, stem: nn.Module) -> None:
        super().__init__()
        self.stem = stem
        self.first = RotatedBinaryConv2d(16, 16, 3, padding=1)
        self.second = RotatedBinaryConv2d(16, 512, 3, stride=2, padding=1)
        self.shortcut = nn.Conv2d(16, 512, 1, stride=2, bias=False)
        self.head = nn.Linear(512, 200)

    def forward(self, x: Tensor) -> Tensor:
        x = F.hardtanh(self.stem(x))
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        x = F.hardtanh(self.first(x) + x)
        x = F.hardtanh(self.second(x) + self.shortcut(x))
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


def images(count: int) -> np.ndarray:
    return np.random.default_rng(count).normal(size=(count, 3, SIZE, SIZE)).astype(np.float32)


def build(stem: nn.Module, *, int8: bool = True) -> BuiltModel:
    torch.manual_seed(0)
    metadata = ModelMetadata("network", (3, SIZE, SIZE), 200, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    return build_model(Network(stem).eval(), metadata, int8=int8)


@pytest.fixture(scope="module")
def built() -> BuiltModel:
    return build(nn.Conv2d(3, 16, 7, stride=2, padding=3))


@pytest.fixture(scope="module")
def model(built: BuiltModel) -> onnx.ModelProto:
    return built.model


@pytest.fixture(scope="module")
def quantized(built: BuiltModel) -> onnx.ModelProto:
    return quantize_layers(built.model, built.int8_layers, iter([images(4), images(5)]))


@given(
    taps=st.tuples(st.integers(3, 8), st.integers(3, 8)),
    pads=st.tuples(*[st.integers(0, 4)] * 4),
    size=st.tuples(st.integers(4, 10), st.integers(4, 10)),
    channels=st.integers(1, 4),
)
@settings(max_examples=60)
def test_paired_convolution_is_the_same(
    taps: tuple[int, int], pads: tuple[int, int, int, int], size: tuple[int, int], channels: int
) -> None:
    height, width = 2 * size[0], 2 * size[1]
    rng = np.random.default_rng(0)
    # Small integers: float32 sums are exact in any order.
    weight = rng.integers(-4, 5, (2, channels, *taps)).astype(np.float32)
    x = torch.from_numpy(rng.integers(-4, 5, (2, channels, height, width)).astype(np.float32))
    paired = pair_rows_and_columns(weight, pads, (height, width))
    # A pair of rows or columns that no window reads cannot be cut off: pads are not negative.
    last_read = [
        (extent + pads[i] + pads[i + 2] - taps[i]) // 2 * 2 - pads[i] + taps[i] - 1
        for i, extent in enumerate((height, width))
    ]
    unread = any(last // 2 < count - 1 for last, count in zip(last_read, size, strict=True))
    assert (paired is None) == unread
    assume(not unread)
    kernel, (top, left, bottom, right) = paired
    expected = F.conv2d(F.pad(x, (pads[1], pads[3], pads[0], pads[2])), torch.from_numpy(weight), stride=2)
    blocks = x.reshape(2, channels, height // 2, 2, width // 2, 2).permute(0, 3, 5, 1, 2, 4)
    blocks = F.pad(blocks.reshape(2, 4 * channels, height // 2, width // 2), (left, right, top, bottom))
    np.testing.assert_array_equal(F.conv2d(blocks, torch.from_numpy(kernel)).numpy(), expected.numpy())


@pytest.mark.parametrize(
    ("shape", "size"),
    [((2, 5, 7, 7), (8, 8)), ((2, 3, 1, 1), (8, 8)), ((2, 3, 7, 7), (9, 8))],
    ids=["many channels", "one pixel", "odd map"],
)
def test_kernels_that_gain_nothing_are_not_paired(shape: tuple[int, ...], size: tuple[int, int]) -> None:
    assert pair_rows_and_columns(np.ones(shape, np.float32), (0, 0, 0, 0), size) is None


@pytest.mark.parametrize(
    ("attributes", "size", "paired"),
    [
        ({"strides": [2, 2]}, [8, 8], True),
        ({"strides": [1, 1]}, [8, 8], False),
        ({"strides": [2, 2], "dilations": [2, 2]}, [8, 8], False),
        ({"strides": [2, 2], "auto_pad": "SAME_UPPER"}, [8, 8], False),
        ({"strides": [2, 2]}, ["H", "W"], False),
    ],
    ids=["stride 2", "stride 1", "dilated", "auto_pad", "open size"],
)
def test_only_convolutions_of_stride_2_over_known_maps_are_paired(
    attributes: dict[str, object], size: list[int | str], paired: bool
) -> None:
    node = helper.make_node("Conv", ["input", "w"], ["y"], **attributes)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, ["N", 3, *size])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.ones((2, 3, 3, 3), np.float32), "w")],
    )
    model = ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]))
    result = PairPixels(set(model.graph))(model)
    assert result.modified is paired
    assert [note.done for note in result.notes] == [paired]
    assert ("SpaceToDepth" in [n.op_type for n in model.graph]) is paired


def test_imagenet_stem_is_paired_without_waste() -> None:
    paired = pair_rows_and_columns(np.ones((64, 3, 7, 7), np.float32), (3, 3, 3, 3), (224, 224))
    assert paired is not None
    assert (paired[0].shape, paired[1]) == ((64, 12, 4, 4), [2, 2, 1, 1])


def test_what_is_binary_and_what_describes_the_model_stays(
    model: onnx.ModelProto, quantized: onnx.ModelProto
) -> None:
    def binary(m: onnx.ModelProto) -> list[tuple[object, ...]]:
        tensors = {t.name: numpy_helper.to_array(t).tobytes() for t in m.graph.initializer}
        return [
            (node.name, [tensors[name] for name in node.input[1:4]], list(node.attribute))
            for node in m.graph.node
            if node.op_type == BINARY_CONV2D
        ]

    onnx.checker.check_model(quantized, full_check=True)
    assert binary(quantized) == binary(model)
    assert len(binary(model)) == 2
    assert list(quantized.functions) == list(model.functions)
    assert list(quantized.metadata_props) == list(model.metadata_props)
    assert list(quantized.opset_import) == list(model.opset_import)
    assert quantized.ir_version == model.ir_version == 8
    assert list(quantized.graph.input) == list(model.graph.input)
    assert list(quantized.graph.output) == list(model.graph.output)


def test_all_float_layers_run_on_integers(quantized: onnx.ModelProto, tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(quantized.SerializeToString(), options, providers=["CPUExecutionProvider"])
    counts = Counter(node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node)
    assert counts["QLinearConv"] == counts["MatMulIntegerToFloat"] == counts["QGemm"] == 1
    # The functions' two binary convolutions, and the mean; Clip of the stem is the range of its output.
    assert counts["Conv"] + counts["FusedConv"] == 2
    assert counts["MatMul"] == 1
    # The stem's output is read by the first binary layer, as input and residual, and converted once.
    assert counts["DequantizeLinear"] == 1


def test_stem_is_within_its_quantisation_step(model: onnx.ModelProto, quantized: onnx.ModelProto) -> None:
    x = images(5)  # also calibrated with, so nothing saturates

    def activations(m: onnx.ModelProto) -> np.ndarray:
        copy = onnx.ModelProto()
        copy.CopyFrom(m)
        first = next(node for node in m.graph.node if node.op_type == BINARY_CONV2D)
        copy.graph.output.append(helper.make_empty_tensor_value_info(first.input[0]))
        session = onnxruntime.InferenceSession(copy.SerializeToString(), providers=["CPUExecutionProvider"])
        return session.run([first.input[0]], {"input": x})[0]

    # Pairs of pixels: 12 channels of 4 x 4 for 3 of 7 x 7.
    weight = next(numpy_helper.to_array(t) for t in model.graph.initializer if list(t.dims) == [16, 12, 4, 4])
    x_step = (images(4).max() - images(4).min() + x.max() - x.min()) / 255  # at least the calibrated range
    w_step = 2 * np.abs(weight).max() / 254
    y_step = 2 / 255
    # |w x - w' x'| <= |w| |x - x'| + |w - w'| |x'|, each difference at most half a step
    bound = np.abs(weight).sum((1, 2, 3)).max() * x_step / 2 + 147 * w_step / 2 * np.abs(x).max() + y_step
    difference = np.abs(activations(quantized) - activations(model))
    assert difference.max() <= bound
    assert difference.mean() < y_step  # the bound adds up worst cases


def test_batch_is_dynamic(quantized: onnx.ModelProto) -> None:
    session = onnxruntime.InferenceSession(quantized.SerializeToString(), providers=["CPUExecutionProvider"])
    x = images(3)
    whole = session.run(None, {"input": x})[0]
    assert whole.shape == (3, 200)
    single = np.concatenate([session.run(None, {"input": x[i : i + 1]})[0] for i in range(3)])
    # The function's float layers may sum in another order at another batch size.
    np.testing.assert_allclose(whole, single, atol=1e-4)


def test_a_small_convolution_stays_in_float() -> None:
    built = build(nn.Conv2d(3, 16, 3, stride=2, padding=1))
    assert "stem" not in built.int8_layers
    quantized = quantize_layers(built.model, built.int8_layers, iter([images(2)]))
    stem = next(node for node in quantized.graph.node if node.op_type == "Conv")
    assert stem.input[0] == "input"
    assert Counter(node.op_type for node in quantized.graph.node)["QuantizeLinear"] == 2


def test_calibration_needs_an_image(built: BuiltModel) -> None:
    with pytest.raises(UserError, match="no image"):
        quantize_layers(built.model, built.int8_layers, iter([]))


def test_the_arrangement_for_integers_computes_the_same_in_float(model: onnx.ModelProto) -> None:
    plain = build(nn.Conv2d(3, 16, 7, stride=2, padding=3), int8=False).model
    assert [node.op_type for node in plain.graph.node][:4] == ["Conv", "MaxPool", "Transpose", "Clip"]
    assert [node.op_type for node in model.graph.node][:5] == [
        "SpaceToDepth",
        "Conv",
        "Clip",
        "MaxPool",
        "Transpose",
    ]
    x = images(3)
    outputs = [
        onnxruntime.InferenceSession(m.SerializeToString(), providers=["CPUExecutionProvider"]).run(
            None, {"input": x}
        )[0]
        for m in (plain, model)
    ]
    # The stem sums in another order; no activation of this seeded case is so near its threshold that a bit
    # flips.
    np.testing.assert_allclose(outputs[0], outputs[1], atol=2e-5, rtol=2e-5)


class Small(nn.Module):
    """Nothing in it is worth quantising."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.binary = RotatedBinaryConv2d(8, 8, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.binary(F.hardtanh(self.stem(x))).mean((2, 3))


def test_nothing_is_quantised_where_nothing_gains() -> None:
    torch.manual_seed(0)
    metadata = ModelMetadata("small", (3, 8, 8))
    built = build_model(Small().eval(), metadata, int8=True)
    assert built.int8_layers == ()
    assert [node.op_type for node in built.model.graph.node][:3] == ["Conv", "Clip", "Transpose"]
