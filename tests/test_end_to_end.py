"""From a checkpoint or a module to logits in every runtime, as a user goes."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from support.networks import UsersOwnNetwork, randomise

import rbnn_deploy
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.operators import BINARY_CONV2D, GENERAL_BINARY_CONV2D
from rbnn_deploy.pytorch.layers import binary_layers
from rbnn_deploy.pytorch.networks import ARCHITECTURES, build_network


# Standard operators, in ort-portable, promise nothing about batches.
@pytest.mark.parametrize("runtime", ["ort", "numpy"])
def test_batch_size_and_threads_do_not_change_the_binary_layers(runtime: str, tmp_path: Path) -> None:
    module = randomise(build_network("cifar10/resnet20_bireal_1w1a"), seed=0)
    path = tmp_path / "model.onnx"
    rbnn_deploy.export(module, path, input_shape=(3, 32, 32))
    model = onnx.load(path)
    layers = [node for node in model.graph.node if node.op_type == "BinaryConv2d"]
    x = np.random.default_rng(0).standard_normal((6, 3, 32, 32), np.float32)
    whole = rbnn_deploy.load_model(path, runtime, threads=1).run_with(
        x, [layers[0].input[0], layers[0].output[0]]
    )
    # Given the same bits, one layer's output is the same whatever the batch; a float stem's need not be.
    single = onnx.helper.make_model(
        onnx.helper.make_graph(
            [layers[0]],
            "layer",
            [onnx.helper.make_tensor_value_info(layers[0].input[0], 1, [None, 32, 32, 16])],
            [onnx.helper.make_tensor_value_info(layers[0].output[0], 1, None)],
            [t for t in model.graph.initializer if t.name in layers[0].input],
        ),
        opset_imports=model.opset_import,
        ir_version=model.ir_version,
        functions=list(model.functions),
    )
    path = tmp_path / "layer.onnx"
    path.write_bytes(single.SerializeToString())
    value = whole[layers[0].input[0]]
    want = whole[layers[0].output[0]]
    for threads in (1, 2):
        loaded = rbnn_deploy.load_model(path, runtime, threads=threads)
        np.testing.assert_array_equal(loaded.run(value), want)
        np.testing.assert_array_equal(np.concatenate([loaded.run(value[i : i + 1]) for i in range(6)]), want)


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("name", [n for n in ARCHITECTURES if not n.startswith(("cifar100", "digits"))])
def test_all_networks_agree_in_all_runtimes(name: str, batch: int, tmp_path: Path) -> None:
    torch.manual_seed(batch)
    module = randomise(build_network(name), seed=batch)
    shape = ARCHITECTURES[name].family.input_shape
    path = tmp_path / "model.onnx"
    rbnn_deploy.export(module, path, input_shape=shape)
    assert_agreement(path, module, (batch, *shape))


@pytest.mark.parametrize("batch", [1, 5])
def test_network_of_the_users_own(batch: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = randomise(UsersOwnNetwork(), seed=0)
    path = tmp_path / "model.onnx"
    result = rbnn_deploy.export(module, path, input_shape=(3, 48, 40))
    assert result.nodes["BinaryConv2d"] == 4
    assert result.nodes["Transpose"] == 1
    assert_agreement(path, module, (batch, 3, 48, 40))


def assert_agreement(path: Path, module: torch.nn.Module, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).standard_normal(shape, np.float32)
    report = rbnn_deploy.compare(path, module, x, layers=True)
    assert report.ok, report.to_text()
    assert [pair.top1_agreement for pair in report.pairs] == [1] * 6, report.to_text()
    # Each binary layer, by its name, gives the same bits in the library and in NumPy.
    nodes = onnx.load(path).graph.node
    names = [node.name for node in nodes if node.op_type in (BINARY_CONV2D, GENERAL_BINARY_CONV2D)]
    assert [(layer.name, layer.identical) for layer in report.layers] == [(name, True) for name in names]
    assert len(names) == len(list(binary_layers(module)))


def test_metadata_and_custom_input_survive(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "model.onnx"
    metadata = ModelMetadata(
        "mine", (3, 24, 20), num_classes=7, mean=(0.5,) * 3, std=(0.25,) * 3, class_names=(*"abcdefg",)
    )
    rbnn_deploy.export(UsersOwnNetwork(), path, metadata=metadata)
    loaded = rbnn_deploy.load_model(path)
    assert loaded.metadata is not None
    assert loaded.metadata.version == rbnn_deploy.__version__
    assert loaded.metadata.class_names == metadata.class_names
    assert loaded.input_shape == (3, 24, 20)


def test_library_registers_in_a_session_of_the_users_own(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = UsersOwnNetwork().eval()
    path = tmp_path / "model.onnx"
    rbnn_deploy.export(module, path, input_shape=(3, 24, 20))
    options = onnxruntime.SessionOptions()
    options.register_custom_ops_library(rbnn_deploy.get_library_path())
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).standard_normal((2, 3, 24, 20), np.float32)
    np.testing.assert_array_equal(session.run(None, {"input": x})[0], rbnn_deploy.load_model(path).run(x))
