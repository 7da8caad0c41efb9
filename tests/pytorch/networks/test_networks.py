import json

import pytest
import torch
from support.paths import REFERENCE, needs_reference
from torch import nn

import rbnn_deploy
from rbnn_deploy.comparing import compare
from rbnn_deploy.errors import UserError
from rbnn_deploy.operators import OPERATORS
from rbnn_deploy.pytorch.checkpoints.checkpoint import load_checkpoint
from rbnn_deploy.pytorch.layers import BinaryLayer, begin_epoch, binary_layers, set_rotation_angle
from rbnn_deploy.pytorch.networks import ARCHITECTURES, build_network, get_architecture

SHAPES = REFERENCE / "state_dict_shapes.json"

# How many binary convolutions each network has: two a block, and one for each binary shortcut.
BINARY_LAYERS = {
    "cifar10/resnet18_1w1a": 2 * 8 + 3,
    "cifar10/resnet20_1w1a": 2 * 9,
    "cifar10/resnet20_bireal_1w1a": 2 * 9,
    "cifar10/vgg_small_1w1a": 5,
    "cifar10/resnet20_sign_1w1a": 2 * 9,
    "cifar10/resnet20_react_1w1a": 2 * 9,
    "cifar10/vgg_small_sign_1w1a": 5,
    "imagenet/resnet18_1w1a": 2 * 8,
    "imagenet/resnet34_1w1a": 2 * 16,
    "digits/resnet8_1w1a": 2 * 3,
}
OWN = {"digits/resnet8_1w1a", *(name for name in BINARY_LAYERS if "sign" in name or "react" in name)}


class LayerTracer(torch.fx.Tracer):
    def is_leaf_module(self, module: nn.Module, qualified_name: str) -> bool:
        return isinstance(module, BinaryLayer) or super().is_leaf_module(module, qualified_name)


@pytest.mark.parametrize("name", BINARY_LAYERS)
def test_number_of_binary_layers(name):
    with torch.device("meta"):
        network = build_network(name)
    assert len(list(binary_layers(network))) == BINARY_LAYERS[name]


@needs_reference
@pytest.mark.parametrize("name", [name for name in BINARY_LAYERS if name not in OWN])
def test_keys_and_shapes_are_the_references(name):
    expected = json.loads(SHAPES.read_text())[name]
    unused = get_architecture(name).unused_keys
    assert any(key.startswith(unused) for key in expected) == bool(unused)
    with torch.device("meta"):
        got = {key: list(value.shape) for key, value in build_network(name).state_dict().items()}
    assert got == {key: shape for key, shape in expected.items() if not key.startswith(unused)}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_network_maps_its_input_to_logits(name):
    family = get_architecture(name).family
    with torch.device("meta"):
        network = build_network(name, num_classes=7).eval()
        assert network(torch.empty(3, *family.input_shape)).shape == (3, 7)
    assert len(family.mean) == len(family.std) == family.input_shape[0]


@pytest.mark.parametrize("name", [name for name in BINARY_LAYERS if "resnet20" in name or "digits" in name])
def test_small_networks_train_and_evaluate(name):
    torch.manual_seed(0)
    network = build_network(name)
    set_rotation_angle(network, 0.4)
    x = torch.randn(2, *get_architecture(name).family.input_shape)
    network(x).square().sum().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
    assert torch.isfinite(network.eval()(x)).all()


@pytest.mark.parametrize("name", BINARY_LAYERS)
def test_traces_with_fx(name):
    with torch.device("meta"):
        network = build_network(name).eval()
        calls = [node.target for node in LayerTracer().trace(network).nodes if node.op == "call_module"]
    layers = [layer for layer, _ in binary_layers(network)]
    assert [call for call in calls if call in layers] == layers


@pytest.mark.parametrize(
    "name",
    [
        "cifar10/resnet20_bireal_1w1a",
        "cifar10/resnet20_react_1w1a",
        "cifar10/vgg_small_1w1a",
        "cifar10/vgg_small_sign_1w1a",
        "digits/resnet8_1w1a",
    ],
)
def test_exports_with_a_dynamic_batch(name):
    network = build_network(name).eval()
    shape = get_architecture(name).family.input_shape
    torch.manual_seed(0)
    program = torch.export.export(
        network, (torch.randn(2, *shape),), dynamic_shapes=({0: torch.export.Dim("batch")},)
    )
    x = torch.randn(3, *shape)
    with torch.no_grad():
        # The same kernels on the same machine, so the same bits.
        assert torch.equal(program.module()(x), network(x))


def test_the_two_resnet20_differ_although_their_keys_do_not():
    torch.manual_seed(0)
    plain, bireal = (
        build_network(f"cifar10/{model}").eval() for model in ("resnet20_1w1a", "resnet20_bireal_1w1a")
    )
    bireal.load_state_dict(plain.state_dict())
    x = torch.randn(1, 3, 32, 32)
    assert not torch.equal(plain(x), bireal(x))


@pytest.mark.parametrize("name", sorted(OWN))
def test_others_thresholds_train_and_deploy(name, tmp_path):
    """After a few steps the checkpoint, of which no name is told, gives the network that was trained."""
    torch.manual_seed(0)
    network = build_network(name)
    shape = get_architecture(name).family.input_shape
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.constant_(layer.weight, 0.1)  # as the short recipe does; from 1e-8 it takes longer
    x, classes = torch.randn(8, *shape), torch.arange(8)
    before = {key: value.clone() for key, value in network.named_parameters()}
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for epoch in range(3):
        begin_epoch(network, epoch, 3)
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(x), classes).backward()
        optimizer.step()
    for key, parameter in network.named_parameters():
        # A rotation's angle starts where it has no gradient.
        assert key.endswith("rotate") or not torch.equal(parameter, before[key]), key
    torch.save(network.state_dict(), tmp_path / "model.pt")
    checkpoint = load_checkpoint(tmp_path / "model.pt")
    assert checkpoint.architecture == name
    result = rbnn_deploy.export(checkpoint, tmp_path / "model.onnx")
    assert sum(result.nodes.get(operator, 0) for operator in OPERATORS) == BINARY_LAYERS[name]
    report = compare(tmp_path / "model.onnx", checkpoint.module, x.numpy(), layers=True)
    assert report.ok, report.to_text()


def test_unknown_names_and_no_classes_are_refused():
    with pytest.raises(UserError, match="cifar10/resnet18_1w1a"):
        build_network("resnet50")
    with pytest.raises(UserError, match="at least 1 class"):
        build_network("digits/resnet8_1w1a", num_classes=0)
