"""The WebAssembly module in Node.js: NumPy's bits."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from support.bits_networks import NETWORKS, SIZE, build_bits, network
from support.networks import randomise
from support.random_networks import draw_network
from support.small_models import small_model
from support.web import needs_zig, run_node, write_site

from rbnn_deploy import load_model
from rbnn_deploy.data.preprocessing import preprocessing_of
from rbnn_deploy.exporters.c import generate
from rbnn_deploy.exporters.onnx import export_onnx
from rbnn_deploy.exporters.web.compiling import compile_module, find_compiler
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.models import EMBEDDED_MODEL
from rbnn_deploy.operators import GENERAL_BINARY_CONV2D, OPERATORS
from rbnn_deploy.pytorch.networks import ARCHITECTURES, OTHER_METHODS
from rbnn_deploy.runtimes.numpy_backend.runtime import NumpyRuntime
from rbnn_deploy.runtimes.value_histograms import value_histograms

pytestmark = needs_zig
PAGE = Path(__file__).parents[3] / "exporters" / "web" / "page"
RUN = """
const { loadModel } = await import(given.loader);
const model = await loadModel(readFileSync(given.module));
const type = given.entry === "runFloats" ? Float32Array : Uint8Array;
const bits = given.images.map((image) => {
  const logits = model[given.entry](type.from(image));
  return Array.from(new Uint32Array(logits.buffer));
});
const { channels, height, width, classes } = model;
result = { shape: [channels, height, width], classes, bits };
"""


def run_module(module: Path, entry: str, images: np.ndarray, folder: Path) -> dict[str, Any]:
    """Returns shape, classes, and the logits float32 [N, classes] of images [N, ...]."""
    given = {
        "loader": str(PAGE / "model.mjs"),
        "module": str(module),
        "entry": entry,
        "images": [image.ravel().tolist() for image in images],
    }
    result: dict[str, Any] = run_node(RUN, given, folder)
    return result | {"logits": np.array(result["bits"], np.uint32).view(np.float32)}


def test_the_embedded_network(tmp_path: Path) -> None:
    site = write_site(EMBEDDED_MODEL, tmp_path).folder
    x = np.random.default_rng(1).standard_normal((8, 3, 32, 32), np.float32)
    result = run_module(site / "model.wasm", "runFloats", x, tmp_path)
    assert np.array_equal(result["logits"], NumpyRuntime(EMBEDDED_MODEL, in_order=True).run(x))
    assert result["shape"] == [3, 32, 32]
    assert result["classes"] == list(load_model(EMBEDDED_MODEL).metadata.class_names)


def test_exact_float_layers_give_the_logits_of_onnx_runtime(tmp_path: Path) -> None:
    name = "cifar10/resnet20_bireal_1w1a"
    family = (architecture := ARCHITECTURES[name]).family
    x = np.random.default_rng(3).standard_normal((5, *family.input_shape), np.float32)
    metadata = ModelMetadata(name, family.input_shape, mean=family.mean, std=family.std)
    network = randomise(architecture.builder(family.num_classes), seed=0)
    path = tmp_path / "model.onnx"
    export_onnx(network, path, metadata, measure=partial(value_histograms, batches=[x[:2]]))
    result = run_module(write_site(path, tmp_path).folder / "model.wasm", "runFloats", x, tmp_path)
    assert np.array_equal(result["logits"], load_model(path).run(x))


# Window sums and slopes; window sums alone; a threshold per channel, and residuals behind the activation.
@pytest.mark.parametrize("name", ["cifar10/adabin_resnet20", "cifar10/xnor_nin", "cifar10/siman_resnet20"])
def test_other_peoples_networks_have_numpys_bits(name: str, tmp_path: Path) -> None:
    family = (architecture := OTHER_METHODS[name]).family
    path = tmp_path / "model.onnx"
    metadata = ModelMetadata(name, family.input_shape, mean=family.mean, std=family.std)
    export_onnx(randomise(architecture.builder(family.num_classes), seed=4), path, metadata)
    assert any(node.op_type == GENERAL_BINARY_CONV2D for node in onnx.load(path).graph.node)
    x = np.random.default_rng(4).standard_normal((3, *family.input_shape), np.float32)
    result = run_module(write_site(path, tmp_path).folder / "model.wasm", "runFloats", x, tmp_path)
    assert np.array_equal(result["logits"], NumpyRuntime(path, in_order=True).run(x))


def test_pixels(tmp_path: Path) -> None:
    site = write_site(EMBEDDED_MODEL, tmp_path).folder
    pixels = np.random.default_rng(2).integers(0, 256, (8, 32, 32, 3), np.uint8)
    result = run_module(site / "model.wasm", "run", pixels, tmp_path)
    judge = NumpyRuntime(EMBEDDED_MODEL, in_order=True)
    preprocess = preprocessing_of(judge.metadata)
    x = np.stack([preprocess(image) for image in pixels])
    assert np.array_equal(result["logits"], judge.run(x))


@pytest.mark.parametrize("seed", range(30))
def test_random_networks(seed: int, tmp_path: Path) -> None:
    """Random geometry, groups, borders and operators, compared to the last bit."""
    rng = np.random.default_rng(seed)
    network = draw_network(rng)
    assert any(node.op_type in OPERATORS for node in network.graph.node)
    path = tmp_path / "model.onnx"
    sizes = [size.dim_value for size in network.graph.input[0].type.tensor_type.shape.dim[1:]]
    described = ModelMetadata("random", (sizes[0], sizes[1], sizes[2]))
    onnx.helper.set_model_props(network, described.to_properties())
    onnx.save(network, path)
    generated = generate(path)
    module = tmp_path / "model.wasm"
    module.write_bytes(compile_module(generated.files, 0, find_compiler()))
    x = rng.standard_normal((3, *generated.program.input_shape), np.float32)
    result = run_module(module, "runFloats", x, tmp_path)
    assert np.array_equal(result["logits"], NumpyRuntime(path, in_order=True).run(x), equal_nan=True)
    assert result["classes"] is None


def test_names_of_classes_keep_their_letters(tmp_path: Path) -> None:
    names = ('*/ "evil" \\', "über", "猫", "🐱", *"abcdef")
    model = small_model(metadata=False)
    described = ModelMetadata("small", (3, 8, 8), 10, class_names=names)
    onnx.helper.set_model_props(model, described.to_properties())
    site = write_site(model, tmp_path).folder
    result = run_module(site / "model.wasm", "run", np.zeros((1, 192), np.uint8), tmp_path)
    assert result["classes"] == list(names)


def test_an_image_of_another_size_is_refused(tmp_path: Path) -> None:
    site = write_site(small_model(), tmp_path).folder
    with pytest.raises(AssertionError, match="RangeError: the network takes 192 values, not 5"):
        run_module(site / "model.wasm", "run", np.zeros((1, 5), np.uint8), tmp_path)


def test_bits_between_layers(tmp_path: Path) -> None:
    torch.manual_seed(1)
    path = tmp_path / "model.onnx"
    onnx.save(build_bits(network(NETWORKS["three in a row"]())).model, path)
    site = write_site(path, tmp_path).folder
    x = np.random.default_rng(3).standard_normal((5, 3, SIZE, SIZE), np.float32)
    result = run_module(site / "model.wasm", "runFloats", x, tmp_path)
    assert np.array_equal(result["logits"], NumpyRuntime(path, in_order=True).run(x))
