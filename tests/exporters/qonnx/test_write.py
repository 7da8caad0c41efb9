"""What `export --format qonnx` writes, the qonnx package executes with the deployed model's results."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from support.documents import blocks
from support.networks import UsersOwnNetwork, randomise
from support.paths import ROOT
from support.qonnx_networks import QONNX_MISSING, RandomNetwork, images, run_qonnx
from torch import Tensor, nn

from rbnn_deploy import api
from rbnn_deploy.api import import_qonnx
from rbnn_deploy.bits import unpack_signs
from rbnn_deploy.errors import UserError
from rbnn_deploy.exporters.onnx import export_onnx
from rbnn_deploy.exporters.qonnx import build_qonnx, export_qonnx, write_binary_conv
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.operators import OPERATORS
from rbnn_deploy.pytorch.networks import OTHER_METHODS, build_network
from rbnn_deploy.runtimes import load_model

# Float layers are summed in another order; no activation of these seeded cases lies so near to its threshold
# that its bit flips (a flip moves a logit by far more).
TOLERANCE = 2e-5
SAMPLES = 3


def deployed(network: nn.Module, metadata: ModelMetadata, x: np.ndarray, folder: Path) -> np.ndarray:
    export_onnx(network, folder / "model.onnx", metadata)
    return load_model(folder / "model.onnx", runtime="numpy").run(x)


@pytest.mark.parametrize("seed", range(50))
def test_random_networks_give_equal_outputs_and_come_back(seed: int, tmp_path: Path) -> None:
    network = RandomNetwork(seed).eval()
    x = images(np.random.default_rng(seed), SAMPLES, network.channels)
    metadata = ModelMetadata("random", x.shape[1:])
    model, folded = build_qonnx(network, metadata)
    found = run_qonnx(model, x)
    assert np.unique(found).size > 1
    assert np.array_equal(found, deployed(network, metadata, x, tmp_path))
    with torch.no_grad():
        assert np.array_equal(found, folded.module(torch.from_numpy(x)).numpy())
    onnx.save(model, tmp_path / "model.qonnx.onnx")
    result = import_qonnx(tmp_path / "model.qonnx.onnx", tmp_path / "back.onnx")
    weights = [layer.effective_weight().numel() for layer in network.layers]
    assert [layer.weights for layer in result.layers] == weights
    for runtime in ("numpy", "ort"):
        assert np.array_equal(found, load_model(tmp_path / "back.onnx", runtime=runtime).run(x)), runtime


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("digits/resnet8_1w1a", (1, 8, 8)),
        ("cifar10/resnet20_bireal_1w1a", (3, 32, 32)),
        ("cifar10/vgg_small_1w1a", (3, 32, 32)),
        ("imagenet/reactnet_resnet18", (3, 64, 64)),
        ("cifar10/adabin_resnet20", (3, 32, 32)),
        ("user", (3, 20, 20)),
    ],
)
def test_whole_networks(name: str, shape: tuple[int, int, int], tmp_path: Path) -> None:
    torch.manual_seed(1)
    if name == "user":
        network = UsersOwnNetwork()
    elif name in OTHER_METHODS:
        network = OTHER_METHODS[name].builder(10)
    else:
        network = build_network(name)
    network = randomise(network, seed=1)
    x = np.random.default_rng(2).standard_normal((SAMPLES, *shape), dtype=np.float32)
    metadata = ModelMetadata(name, shape)
    model, _ = build_qonnx(network, metadata)
    found = run_qonnx(model, x)
    expected = deployed(network, metadata, x, tmp_path)
    assert np.abs(found - expected).max() < TOLERANCE * np.abs(expected).max()
    onnx.save(model, tmp_path / "model.qonnx.onnx")
    result = import_qonnx(tmp_path / "model.qonnx.onnx", tmp_path / "back.onnx")
    names = [layer.name for layer in result.layers if not layer.name.endswith(".window_sum")]
    assert names == [
        node.name for node in onnx.load(tmp_path / "model.onnx").graph.node if node.op_type in OPERATORS
    ]
    back = load_model(tmp_path / "back.onnx", runtime="ort").run(x)
    assert np.abs(back - expected).max() < TOLERANCE * np.abs(expected).max()


def test_binary_layers_are_bipolar_and_all_else_is_standard(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = randomise(UsersOwnNetwork(), seed=1)
    metadata = ModelMetadata("user", (3, 20, 20), mean=(0.5,) * 3, std=(0.25,) * 3)
    result = export_qonnx(network, tmp_path / "model.qonnx.onnx", metadata)
    model = onnx.load(tmp_path / "model.qonnx.onnx")
    assert result.size == (tmp_path / "model.qonnx.onnx").stat().st_size
    assert result.nodes == Counter(node.op_type for node in model.graph.node)
    assert result.nodes["BipolarQuant"] == 2 * len(result.folded.layers) == 8
    assert {node.domain for node in model.graph.node} == {"", "qonnx.custom_op.general"}
    assert {op.domain: op.version for op in model.opset_import} == {"": 18, "qonnx.custom_op.general": 1}
    convs = {node.name for node in model.graph.node if node.op_type == "Conv"}
    assert convs == {"stem", "wide", "dilated", "grouped", "depthwise"}  # their modules' names
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    scales = [constants[n.input[1]] for n in model.graph.node if n.op_type == "BipolarQuant"]
    assert all(scale == 1 for scale in scales)
    assert ModelMetadata.from_properties({p.key: p.value for p in model.metadata_props}).mean == (0.5,) * 3
    values = (*model.graph.input, *model.graph.output, *model.graph.value_info)
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}
    assert shapes["input"] == [1, 3, 20, 20]
    assert all(shapes[name] and min(shapes[name]) > 0 for n in model.graph.node for name in n.output)


class Branching(UsersOwnNetwork):
    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = torch.cond(x.sum() > 0, self.wide, lambda y: -self.wide(y), (x,))
        return self.head(self.norm(self.dilated(x)).mean((2, 3)))


def test_a_binary_layer_inside_an_if_is_refused(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network, path = randomise(Branching(), seed=1), tmp_path / "model.onnx"
    with pytest.raises(UserError, match=r"layer .*wide.* lies inside an If or a Loop.*--format onnx$"):
        export_qonnx(network, path, ModelMetadata("branching", (3, 20, 20)))
    assert not path.exists()


def test_the_example_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("qonnx", reason=QONNX_MISSING)
    network = randomise(build_network("cifar10/resnet20_1w1a"), seed=1)
    monkeypatch.chdir(tmp_path)
    export_qonnx(network, "model.qonnx.onnx", ModelMetadata("resnet", (3, 32, 32)))
    (example,) = (b.text for b in blocks(ROOT / "docs" / "qonnx.md") if b.language == "python")
    namespace: dict[str, np.ndarray] = {}
    exec(example, namespace)
    assert namespace["logits"].shape == (1, 10)


def test_a_wrong_file_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is read back and compared with PyTorch before it is in place."""
    torch.manual_seed(1)
    network = randomise(build_network("digits/resnet8_1w1a"), seed=1)
    metadata, path = ModelMetadata("digits", (1, 8, 8), mean=(0.0,), std=(1.0,)), tmp_path / "q.onnx"
    monkeypatch.setattr(write_binary_conv, "unpack_signs", lambda packed, count: -unpack_signs(packed, count))
    with pytest.raises(UserError, match=r"computes something else.*--no-check"):
        api.export_qonnx(network, path, metadata=metadata)
    assert not path.exists()
    api.export_qonnx(network, path, metadata=metadata, check=False)
    monkeypatch.undo()
    api.export_qonnx(network, path, metadata=metadata)
