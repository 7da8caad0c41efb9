"""What QONNX files say, the deployed model computes: the qonnx package is the judge."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from support.qonnx_graphs import CLASSES, QonnxGraph, random_cnv, random_tfc
from support.qonnx_networks import run_qonnx

from rbnn_deploy.affine import ChannelAffine
from rbnn_deploy.api import import_qonnx
from rbnn_deploy.errors import UserError
from rbnn_deploy.exporters.qonnx import thresholds
from rbnn_deploy.models import EMBEDDED_MODEL
from rbnn_deploy.runtimes import load_model

SAMPLES = 4


def pixels(model: onnx.ModelProto, seed: int) -> np.ndarray:
    """Draws images between 0 and 1, in steps of 1/256."""
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim][1:]
    return np.random.default_rng(seed).integers(0, 257, (SAMPLES, *shape)).astype(np.float32) / 256


@pytest.mark.parametrize("draw", [random_tfc, random_cnv])
@pytest.mark.parametrize("seed", range(25))
def test_random_graphs_give_equal_outputs(
    draw: Callable[[int], onnx.ModelProto], seed: int, tmp_path: Path
) -> None:
    model = draw(seed)
    onnx.save(model, tmp_path / "model.qonnx.onnx")
    result = import_qonnx(tmp_path / "model.qonnx.onnx", tmp_path / "model.onnx")
    x = pixels(model, seed)
    expected = run_qonnx(model, x)
    for runtime in ("numpy", "ort", "ort-portable"):
        found = load_model(tmp_path / "model.onnx", runtime=runtime).run(x)
        assert np.array_equal(found, expected), runtime
    matrices = sum(node.op_type in ("Conv", "Gemm", "MatMul") for node in model.graph.node)
    binary = sum(count for name, count in result.nodes.items() if name.endswith("BinaryConv2d"))
    assert binary == len(result.layers) == matrices - (draw is random_cnv)  # whose first layer reads 8 bits


def test_a_tfc_is_binary_from_pixels_to_logits(tmp_path: Path) -> None:
    """The topology that Brevitas trains on MNIST; only pixels and logits are floats."""
    graph = QonnxGraph(np.random.default_rng(0), (1, 28, 28))
    x = graph.node("Reshape", "x", graph.constant([1, -1], np.int64))
    x = graph.bipolar(graph.node("Sub", graph.node("Mul", x, graph.constant(2)), graph.constant([1])))
    for index, (inputs, outputs) in enumerate(((784, 64), (64, 64), (64, 64), (64, CLASSES))):
        weight = graph.constant(graph.rng.uniform(-1, 1, (outputs, inputs)), name=f"features.{index}.weight")
        x = graph.node("Gemm", x, graph.bipolar(weight), transB=1)
        if outputs != CLASSES:
            x = graph.bipolar(graph.batch_norm(x, outputs))
    model = graph.model(x, opset=20)
    onnx.save(model, tmp_path / "tfc.onnx")
    result = import_qonnx(tmp_path / "tfc.onnx", tmp_path / "model.onnx")
    assert result.nodes == {"Mul": 1, "Sub": 1, "Reshape": 3, "BinaryConv2d": 4}
    assert [layer.name for layer in result.layers] == [f"features.{index}" for index in range(4)]
    assert result.size < model.ByteSize() / 16
    images = pixels(model, 0)
    found = load_model(tmp_path / "model.onnx").run(images)
    assert np.array_equal(found, run_qonnx(model, images))
    assert np.array_equal(found[1:2], load_model(tmp_path / "model.onnx").run(images[1:2]))


def test_scales_that_are_no_powers_of_two(tmp_path: Path) -> None:
    graph = QonnxGraph(np.random.default_rng(1), (3, 6, 6))
    x = graph.bipolar(graph.node("Sub", "x", graph.constant(0.5)), 0.37)
    values = graph.constant(graph.rng.standard_normal((8, 3, 3, 3)))
    x = graph.node("Conv", x, graph.bipolar(values, graph.rng.uniform(0.1, 2, (8, 1, 1, 1))), pads=[1] * 4)
    x = graph.node("Add", x, graph.constant(graph.rng.standard_normal((8, 1, 1))))  # no sum is a tie
    x = graph.node("Flatten", graph.bipolar(x, 1.3))
    values = graph.constant(graph.rng.standard_normal((CLASSES, 288)))
    x = graph.node("Gemm", x, graph.bipolar(values, 0.7), graph.constant(graph.rng.random(CLASSES)), transB=1)
    model = graph.model(x, opset=18)
    onnx.save(model, tmp_path / "q.onnx")
    assert len(import_qonnx(tmp_path / "q.onnx", tmp_path / "model.onnx").layers) == 2
    images = pixels(model, 1)
    expected = run_qonnx(model, images)  # sums 288 rounded products, where we scale one integer
    assert np.allclose(load_model(tmp_path / "model.onnx").run(images), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("domain", ["onnx.brevitas", "finn.custom_op.general"])
def test_names_that_earlier_tools_wrote(domain: str, tmp_path: Path) -> None:
    model = random_tfc(3)
    for node in model.graph.node:
        if node.domain:
            node.domain = domain
    del model.opset_import[1:]
    model.opset_import.append(helper.make_opsetid(domain, 1))
    # And they list stored tensors as inputs too.
    for tensor in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    onnx.save(model, tmp_path / "old.onnx")
    import_qonnx(tmp_path / "old.onnx", tmp_path / "model.onnx")
    x = pixels(model, 0)
    assert np.array_equal(load_model(tmp_path / "model.onnx").run(x), run_qonnx(random_tfc(3), x))


def test_zero_and_nan_have_the_signs_that_the_package_gives_them() -> None:
    graph = QonnxGraph(np.random.default_rng(0), (1, 1, CLASSES))
    x = graph.node("Flatten", graph.bipolar("x", 2.0))
    values = np.array([0.0, -0.0, np.nan, 1e-45, -1e-45], np.float32).reshape(1, 1, 1, CLASSES)
    assert run_qonnx(graph.model(x, opset=18), values).tolist() == [[2, 2, -2, 2, -2]]


def layer(graph: QonnxGraph, x: str) -> str:
    """Adds what every refused graph has: one layer that could be read."""
    weight = graph.bipolar(graph.constant(graph.rng.standard_normal((CLASSES, 3, 4, 4))))
    return graph.node("Flatten", graph.node("Conv", graph.bipolar(x), weight))


def computed_scale(graph: QonnxGraph) -> str:
    scale = graph.node("ReduceMax", "x", keepdims=1)
    return layer(graph, graph.quantizer("BipolarQuant", "x", scale))


def several_thresholds(graph: QonnxGraph) -> str:
    thresholds = graph.constant(np.arange(9).reshape(3, 3))
    return layer(graph, graph.quantizer("MultiThreshold", "x", thresholds, out_dtype="INT2"))


def unknown_operator(graph: QonnxGraph) -> str:
    return layer(graph, graph.quantizer("FloatQuant", "x", graph.constant(1)))


def foreign_operator(graph: QonnxGraph) -> str:
    return layer(graph, graph.node("MVAU", "x", domain="finn.custom_op.fpgadataflow"))


def rounding(graph: QonnxGraph) -> str:
    parameters = [graph.constant(value) for value in (1, 0, 4)]
    return layer(graph, graph.quantizer("Quant", "x", *parameters, signed=1, narrow=0, rounding_mode="UP"))


def no_binary_layer(graph: QonnxGraph) -> str:
    weight = graph.constant(graph.rng.standard_normal((CLASSES, 3, 4, 4)))
    weight = graph.quantizer("Quant", weight, *(graph.constant(v) for v in (0.5, 0, 2)), signed=1, narrow=0)
    return graph.node("Flatten", graph.node("Conv", graph.bipolar("x"), weight))


def mixes_the_batch(graph: QonnxGraph) -> str:
    return graph.node("Reshape", layer(graph, "x"), graph.constant([-1, 1], np.int64))


def zero_scale(graph: QonnxGraph) -> str:
    return layer(graph, graph.bipolar("x", 0.0))


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (computed_scale, ("n1 (BipolarQuant)", "computed", "constant")),
        (several_thresholds, ("n0 (MultiThreshold)", "activations of two")),
        (unknown_operator, ("n0 (FloatQuant)", "no form here")),
        (foreign_operator, ("finn.custom_op.fpgadataflow::MVAU", "neither standard nor QONNX's")),
        (rounding, ("n0 (Quant)", "'UP'", "FLOOR")),
        (no_binary_layer, ("no layer's activations and weights are both bipolar",)),
        (mixes_the_batch, ("does not keep the batch",)),
        (zero_scale, ("n0 (BipolarQuant)", "0 or not finite")),
    ],
)
def test_refusals(draw: Callable[[QonnxGraph], str], words: tuple[str, ...], tmp_path: Path) -> None:
    graph = QonnxGraph(np.random.default_rng(0), (3, 4, 4))
    model = graph.model(draw(graph), opset=18, shapes=False)
    model.opset_import.append(helper.make_opsetid("finn.custom_op.fpgadataflow", 1))
    onnx.save(model, tmp_path / "q.onnx")
    with pytest.raises(UserError) as caught:
        import_qonnx(tmp_path / "q.onnx", tmp_path / "model.onnx")
    assert str(caught.value).startswith(f"cannot read {tmp_path / 'q.onnx'} as QONNX: ")
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)
    assert not (tmp_path / "model.onnx").exists()


def test_a_model_without_quantisers_and_an_input_that_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="neither a checkpoint nor a QONNX model"):
        import_qonnx(EMBEDDED_MODEL, tmp_path / "model.onnx")
    model = random_tfc(0)
    del model.graph.input[0].type.tensor_type.shape.dim[1:]
    onnx.save(model, tmp_path / "q.onnx")
    with pytest.raises(UserError, match=r"one float32 image \[1, C, H, W\]"):
        import_qonnx(tmp_path / "q.onnx", tmp_path / "model.onnx")


def test_infinite_logits_are_equal_and_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    graph = QonnxGraph(np.random.default_rng(0), (3, 4, 4))
    infinite = graph.node("Mul", layer(graph, "x"), graph.constant(-np.inf))
    onnx.save(graph.model(infinite, opset=18), tmp_path / "q.onnx")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".* of 4 random inputs")
        import_qonnx(tmp_path / "q.onnx", tmp_path / "model.onnx")
    graph = QonnxGraph(np.random.default_rng(0), (3, 4, 4))
    wider = graph.node("Mul", layer(graph, "x"), graph.constant(np.ones((1, CLASSES + 1))))
    onnx.save(graph.model(wider, opset=18, shapes=False), tmp_path / "q.onnx")
    with pytest.raises(UserError, match="do not fit together by their shapes") as caught:
        import_qonnx(tmp_path / "q.onnx", tmp_path / "model.onnx")
    assert "\n" not in str(caught.value)


def test_samples_that_see_each_other_are_noticed(tmp_path: Path) -> None:
    """The file's batch is 1, so nothing in it says what becomes of several samples."""
    graph = QonnxGraph(np.random.default_rng(0), (3, 4, 4))
    logits = layer(graph, "x")
    total = graph.node("ReduceSum", logits, graph.constant([0], np.int64), keepdims=1)
    onnx.save(graph.model(graph.node("Add", logits, total), opset=18), tmp_path / "q.onnx")
    with pytest.raises(UserError, match="computes something else"):
        import_qonnx(tmp_path / "q.onnx", tmp_path / "model.onnx")


def test_a_wrong_result_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check is asked before the file is in place."""
    onnx.save(random_tfc(1), tmp_path / "q.onnx")
    monkeypatch.setattr(
        thresholds, "_comparison", lambda steps, most, outputs: ChannelAffine(*np.ones((2, outputs)))
    )
    with pytest.raises(UserError, match=r"computes something else.*--no-check"):
        import_qonnx(tmp_path / "q.onnx", tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()
    import_qonnx(tmp_path / "q.onnx", tmp_path / "model.onnx", check=False)
