"""Models with bits between their layers: the same outputs, to the bit, in every runtime."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from support.bits_networks import NETWORKS, PACKED, SIZE, Residual, build_bits, conv, network, norm, prelu
from torch import nn

import rbnn_deploy
from rbnn_deploy.errors import UserError
from rbnn_deploy.exporters.onnx import build_model
from rbnn_deploy.exporters.onnx.passes import sign_links
from rbnn_deploy.exporters.onnx.passes.sum_thresholds import SumThresholds, find_thresholds
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.onnx_graph import is_binary_conv
from rbnn_deploy.pytorch.layers import RotatedBinaryConv2d
from rbnn_deploy.runtimes import load_model
from rbnn_deploy.shape_inference import static_shapes


def run(model: onnx.ModelProto, path: str, runtime: str) -> np.ndarray:
    onnx.save(model, path)
    images = np.random.default_rng(3).standard_normal((6, 3, SIZE, SIZE), np.float32)
    return load_model(path, runtime=runtime, threads=1).run(images)  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_are_the_same_bits(name: str, tmp_path: object) -> None:
    torch.manual_seed(len(name))
    module = network(NETWORKS[name]())
    floats, bits = (build_bits(module, bits=chosen).model for chosen in (False, True))
    counts = Counter(node.op_type for node in bits.graph.node)
    assert counts["PackedBinaryConv2d"] == PACKED[name]
    assert (counts["PackSigns"], counts["UnpackSigns"]) == (1, 1)
    assert counts["ReduceMax"] == counts["MaxPool"] == 0
    names = [[node.name for node in model.graph.node if is_binary_conv(node)] for model in (floats, bits)]
    assert names[0] == names[1]
    results = []
    for runtime in ("ort", "ort-portable", "numpy"):
        y = [run(model, f"{tmp_path}/model.onnx", runtime) for model in (floats, bits)]
        assert np.array_equal(*y), runtime
        results.append(y[0])
    assert np.std(results[0], axis=0).min() > 0  # they depend on the images


def test_a_threshold_that_is_off_by_one_is_seen(tmp_path: object) -> None:
    torch.manual_seed(5)
    model = build_bits(network(NETWORKS["a pool and a norm"]()), bits=True).model
    right = run(model, f"{tmp_path}/model.onnx", "numpy")
    (packed,) = [node for node in model.graph.node if node.op_type == "PackedBinaryConv2d"]
    (tensor,) = [tensor for tensor in model.graph.initializer if tensor.name == packed.input[2]]
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) + np.int32(2), tensor.name))
    assert not np.array_equal(run(model, f"{tmp_path}/model.onnx", "numpy"), right)


def test_shapes_of_bits_are_inferred() -> None:
    torch.manual_seed(6)
    model = build_bits(network(NETWORKS["three in a row"]()), bits=True).model
    shapes = static_shapes(model)
    found = {
        node.op_type + str(index): shapes[node.output[0]][1:]
        for index, node in enumerate(node for node in model.graph.node if node.domain == "ai.rbnn")
    }
    assert found == {
        "PackSigns0": (SIZE, SIZE, 2),
        "PackedBinaryConv2d1": (SIZE // 2, SIZE // 2, 5),
        "PackedBinaryConv2d2": (SIZE // 2, SIZE // 2, 3),
        "PackedBinaryConv2d3": (SIZE // 4, SIZE // 4, 4),
        "UnpackSigns4": (SIZE // 4, SIZE // 4, 32),
        "GeneralBinaryConv2d5": (SIZE // 4, SIZE // 4, 16),
    }


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        (lambda: [RotatedBinaryConv2d(16, 16, 3, padding=1), norm(16), conv(16, 16)], "the sample's mean"),
        (lambda: [conv(16, 16), norm(16), RotatedBinaryConv2d(16, 16, 3, padding=1)], "the sample's mean"),
        (lambda: [Residual(conv(16, 16)), conv(16, 16)], "further terms"),
        (lambda: [conv(16, 16), Residual(conv(16, 16))], "several nodes"),
        (lambda: [conv(16, 16), prelu(16, -0.5), conv(16, 16)], "rises and falls"),
        (lambda: [conv(16, 16), nn.MaxPool2d(3, 2, 1), conv(16, 16)], "Transpose"),
        (lambda: [conv(16, 16), nn.Sigmoid(), conv(16, 16)], "Sigmoid"),
    ],
)
def test_what_needs_floats_keeps_them_and_says_why(layers: object, reason: str) -> None:
    torch.manual_seed(7)
    built = build_bits(network(layers()), bits=True)  # type: ignore[operator]
    assert not [node for node in built.model.graph.node if node.op_type == "PackedBinaryConv2d"]
    notes = [note.text for note in built.notes if note.text.startswith("passes floats on")]
    assert any(reason in text for text in notes), notes


def test_nothing_changes_unless_asked_for() -> None:
    torch.manual_seed(8)
    module = network(NETWORKS["a bare pool"]())
    metadata = ModelMetadata("bits", (3, SIZE, SIZE))
    assert build_model(module, metadata).model == build_bits(module, bits=False).model


def test_a_file_may_be_written_whatever_onnx_runtime_fuses(tmp_path: Path) -> None:
    """Sums of 0 are on the threshold: there `ort-portable` gives another bit, and is not asked."""
    torch.manual_seed(1)
    layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16)]
    for _ in range(3):
        conv = RotatedBinaryConv2d(16, 16, 3, padding=1, threshold="zero")
        layers += [conv, nn.BatchNorm2d(16), nn.Hardtanh()]
    module = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5)).eval()
    metadata = ModelMetadata("ties", (3, SIZE, SIZE))
    for name, bits in (("floats", False), ("bits", True)):
        rbnn_deploy.export(module, tmp_path / name, metadata=metadata, bits_between_layers=bits)
    x = np.random.default_rng(0).standard_normal((6, 3, SIZE, SIZE), np.float32)
    for runtime in ("ort", "numpy"):
        y = [load_model(tmp_path / name, runtime=runtime).run(x) for name in ("floats", "bits")]
        assert np.array_equal(*y), runtime


@pytest.mark.parametrize("float_layers", ["float32", "int8", "exact"])
def test_a_wrong_threshold_is_found_whatever_the_float_layers_are(
    float_layers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image_folder: Path
) -> None:
    def wrong(*given: Any) -> SumThresholds | None:
        found = find_thresholds(*given)
        return None if found is None else replace(found, thresholds=found.thresholds + np.int32(4))

    monkeypatch.setattr(sign_links, "find_thresholds", wrong)
    torch.manual_seed(9)
    with pytest.raises(UserError, match="bits between its layers computes something else"):
        rbnn_deploy.export(
            network(NETWORKS["a pool and a norm"]()),
            tmp_path / "model.onnx",
            metadata=ModelMetadata("bits", (3, SIZE, SIZE), mean=(0.5,) * 3, std=(0.5,) * 3),
            float_layers=float_layers,
            calibration=None if float_layers == "float32" else image_folder,
            bits_between_layers=True,
        )
    assert not list(tmp_path.glob("*.onnx"))
