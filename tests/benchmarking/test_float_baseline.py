"""The float baseline is, node for node, what torch exports of the same network with nn.Conv2d."""

import copy
from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from onnx import helper
from onnxscript import ir
from support.networks import UsersOwnNetwork, randomise
from torch import Tensor, nn

from rbnn_deploy.benchmarking.float_baseline import float_baseline
from rbnn_deploy.errors import UserError
from rbnn_deploy.exporters.onnx import build_model
from rbnn_deploy.exporters.onnx.from_torch import export_graph
from rbnn_deploy.exporters.onnx.quantize import quantize_layers
from rbnn_deploy.exporters.onnx.topology import float_network
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.onnx_graph import properties
from rbnn_deploy.pytorch.layers import RotatedBinaryConv2d
from rbnn_deploy.pytorch.module_inputs import images
from rbnn_deploy.pytorch.networks import build_network
from rbnn_deploy.topology import PROPERTY, fill, pack, unpack


class ManyOperators(nn.Module):
    """Binary layers among operators that people use: activations, shuffle, split, pool, depthwise, resize."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(16) for _ in range(4))
        self.binary = nn.ModuleList(RotatedBinaryConv2d(16, 16, 3, padding=1) for _ in range(3))
        self.prelu = nn.PReLU(16)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.head = nn.Linear(16, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = self.prelu(self.norms[0](self.stem(x)))
        x = F.elu(self.norms[1](self.binary[0](x)) + x)
        x = shuffle(x, 4)
        left, right = x.split(8, 1)
        x = torch.cat([F.gelu(left), F.softplus(right)], 1)
        x = F.silu(self.norms[2](self.binary[1](x)) + x)
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        x = F.hardtanh(self.depthwise(x))
        x = F.interpolate(x, scale_factor=2, mode="nearest")
        x = self.prelu(self.norms[3](self.binary[2](x)) + x)
        return self.head(x.mean((2, 3)))


def shuffle(x: Tensor, groups: int) -> Tensor:
    n, c, h, w = x.shape
    return x.view(n, groups, c // groups, h, w).transpose(1, 2).reshape(n, c, h, w)


class Stem(nn.Module):
    """An ImageNet network in small: pooled stem, float shortcut, mean, head."""

    def __init__(self, last: int = 24) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 7, stride=2, padding=3)
        self.first = RotatedBinaryConv2d(16, 16, 3, padding=1)
        self.second = RotatedBinaryConv2d(16, last, 3, stride=2, padding=1, groups=2)
        self.shortcut = nn.Conv2d(16, last, 1, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(last)
        self.head = nn.Linear(last, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.hardtanh(self.stem(x)), 3, stride=2, padding=1)
        x = F.hardtanh(self.first(x) + x)
        x = F.hardtanh(self.norm(self.second(x)) + self.shortcut(x))
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "many_operators": ManyOperators,
    "stem": Stem,
    "users_own": UsersOwnNetwork,
    "resnet8": lambda: build_network("digits/resnet8_1w1a"),
}


def shape_of(name: str) -> tuple[int, int, int]:
    return (1, 8, 8) if name == "resnet8" else (3, 24, 24)


def network(name: str) -> nn.Module:
    torch.manual_seed(0)
    return randomise(NETWORKS[name](), seed=2).eval()


def with_float_convolutions(module: nn.Module) -> nn.Module:
    module = copy.deepcopy(module)
    for parent in list(module.modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, RotatedBinaryConv2d):
                plain = nn.Conv2d(
                    layer.in_channels,
                    layer.out_channels,
                    layer.kernel_size,
                    layer.stride,
                    layer.padding,
                    layer.dilation,
                    layer.groups,
                    bias=layer.bias is not None,
                )
                setattr(parent, name, plain)
    return module.eval()


def described(model: onnx.ModelProto) -> list[tuple[object, ...]]:
    """Each node with its attributes, and its inputs by where they come from: a node, or a tensor's shape."""
    tensors = {t.name: (t.data_type, tuple(t.dims)) for t in model.graph.initializer}
    small = {
        t.name: onnx.numpy_helper.to_array(t).tolist()
        for t in model.graph.initializer
        if t.raw_data and np.prod(t.dims) <= 8
    }
    made = {name: (i, j) for i, n in enumerate(model.graph.node) for j, name in enumerate(n.output)}
    return [
        (
            node.op_type,
            sorted((a.name, str(helper.get_attribute_value(a))) for a in node.attribute),
            [made.get(name, (tensors.get(name, name), small.get(name))) for name in node.input],
        )
        for node in model.graph.node
    ]


@pytest.mark.parametrize("name", NETWORKS)
def test_it_is_what_torch_exports_with_float_convolutions(name: str) -> None:
    module, shape = network(name), shape_of(name)
    deployed = build_model(module, ModelMetadata(name, shape)).model
    plain = export_graph(with_float_convolutions(module), images(shape), 18)
    expected = described(unpack_string(pack(ir.to_proto(float_network(plain)))))
    bare = unpack(deployed)
    assert bare is not None
    assert described(bare) == expected
    assert len(expected) > 5


def unpack_string(packed: str) -> onnx.ModelProto:
    model = onnx.ModelProto()
    model.metadata_props.add(key=PROPERTY, value=packed)
    bare = unpack(model)
    assert bare is not None
    return bare


@pytest.mark.parametrize("name", NETWORKS)
def test_it_runs_with_finite_activations(name: str) -> None:
    baseline = float_baseline(build_model(network(name), ModelMetadata(name, shape_of(name))).model)
    assert baseline is not None
    assert {node.domain for node in baseline.graph.node} == {""}
    assert not baseline.functions
    assert (baseline.ir_version, baseline.opset_import[0].version) == (8, 18)
    session = onnxruntime.InferenceSession(baseline.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).normal(size=(3, *shape_of(name))).astype(np.float32)
    (logits,) = session.run(None, {"input": x})
    assert np.isfinite(logits).all()
    assert 1e-3 < np.abs(logits).max() < 1e3


def test_deployed_transposes_are_never_more_than_of_the_plain_export() -> None:
    module, shape = network("many_operators"), shape_of("many_operators")

    def count(**options: bool) -> int:
        model = build_model(module, ModelMetadata("m", shape), **options).model
        return sum(node.op_type == "Transpose" for node in model.graph.node)

    # Around the overlapping pool and the depthwise convolution, into the region in front, and in the shuffle.
    assert count() == 4
    assert count(optimize=False) == 7


def test_optimised_unoptimised_and_quantised_files_have_one_baseline() -> None:
    torch.manual_seed(0)
    module, metadata = randomise(Stem(last=512), seed=2), ModelMetadata("stem", (3, 24, 24))
    built = build_model(module, metadata, int8=True)
    x = np.random.default_rng(0).normal(size=(4, 3, 24, 24)).astype(np.float32)
    quantised = quantize_layers(built.model, built.int8_layers, [x])
    assert "SpaceToDepth" in {node.op_type for node in quantised.graph.node}
    unoptimised = build_model(module, metadata, optimize=False).model
    values = [properties(model)[PROPERTY] for model in (built.model, quantised, unoptimised)]
    assert values[0] == values[1] == values[2]


def test_it_takes_little_room() -> None:
    network = randomise(build_network("imagenet/resnet18_1w1a"), seed=1)
    model = build_model(network, ModelMetadata("imagenet/resnet18_1w1a", (3, 224, 224))).model
    assert len(properties(model)[PROPERTY]) < 3000


def test_a_file_of_an_earlier_version_has_none() -> None:
    model = build_model(network("stem"), ModelMetadata("stem", (3, 24, 24))).model
    kept = [entry for entry in model.metadata_props if entry.key != PROPERTY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    assert float_baseline(model) is None


@pytest.mark.parametrize(
    "value", ["", "no base64!", "AAAA", "eNoDAAAAAAE="], ids=["none", "text", "zlib", "graph"]
)
def test_a_damaged_property_is_refused(value: str) -> None:
    model = onnx.ModelProto()
    model.metadata_props.add(key=PROPERTY, value=value)
    with pytest.raises(UserError, match="damaged; export the model again"):
        float_baseline(model)


def test_a_property_out_of_proportion_is_refused_before_it_takes_memory() -> None:
    weight = onnx.TensorProto(name="w", data_type=onnx.TensorProto.FLOAT, dims=[2**20, 2**20, 1, 1])
    node = helper.make_node("Conv", ["input", "w"], ["y"])
    value = helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, ["N", 1, 1, 1])
    graph = helper.make_graph([node], "g", [value], [helper.make_empty_tensor_value_info("y")], [weight])
    with pytest.raises(UserError, match="out of proportion"):
        fill(helper.make_model(graph))
