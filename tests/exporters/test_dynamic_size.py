"""Models of images of any height and width."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from support.networks import randomise
from torch import Tensor, nn

import rbnn_deploy
from rbnn_deploy.errors import UserError
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.pytorch.networks import build_network

METADATA = ModelMetadata("sizes", (3, 32, 32), mean=(0, 0, 0), std=(1, 1, 1))


def images(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).standard_normal((2, 3, height, width), np.float32)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return randomise(build_network("cifar10/resnet20_bireal_1w1a", 10), seed=1).eval()


@pytest.fixture(scope="module")
def model(network: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sizes") / "any.onnx"
    rbnn_deploy.export(network, path, metadata=METADATA, dynamic_size=True)
    return path


@pytest.mark.parametrize(("height", "width"), [(32, 32), (40, 56), (33, 47), (9, 130)])
def test_every_size_is_explained(height: int, width: int, model: Path, network: nn.Module) -> None:
    report = rbnn_deploy.compare(model, network, images(height, width))
    assert report.ok, report.to_text()


def test_the_file_names_its_sizes(model: Path) -> None:
    graph = onnx.load(model).graph
    assert [d.dim_param or d.dim_value for d in graph.input[0].type.tensor_type.shape.dim] == [
        "N",
        3,
        "H",
        "W",
    ]
    assert "float32 [N, 3, H, W]" in repr(rbnn_deploy.load_model(model))
    assert sum(node.op_type == "BinaryConv2d" for node in graph.node) == 18
    assert sum(node.op_type == "Transpose" for node in graph.node) == 1


def test_the_size_of_the_metadata_has_the_bits_of_a_fixed_model(
    model: Path, network: nn.Module, tmp_path: Path
) -> None:
    fixed = tmp_path / "fixed.onnx"
    rbnn_deploy.export(network, fixed, metadata=METADATA)
    logits = [rbnn_deploy.load_model(path).run(images(32, 32)) for path in (model, fixed)]
    # The mean over the last map is a reduction here, and a product there: other orders of summation.
    np.testing.assert_allclose(logits[0], logits[1], rtol=1e-5, atol=1e-5)


def test_pixels_are_resized_and_bench_takes_the_metadata_s_size(model: Path) -> None:
    prediction = rbnn_deploy.load_model(model).predict(np.zeros((50, 60, 3), np.uint8))
    assert len(prediction) == 1
    assert "fp32 (same net)" in rbnn_deploy.bench(model, runs=1, baselines=("fp32",)).to_text()
    assert rbnn_deploy.inspect(model).peak_activations is None  # it depends on the size


class Flattening(nn.Module):
    """Its linear layer takes maps of one size."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.binary = rbnn_deploy.RotatedBinaryConv2d(3, 4, 3, padding=1)
        self.head = nn.Linear(4 * 32 * 32, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.binary(x).flatten(1))


@pytest.mark.parametrize("built", [Flattening, lambda: build_network("cifar10/vgg_small_1w1a", 10)])
def test_networks_of_one_size_are_refused(built: type, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="one size only"):
        rbnn_deploy.export(built().eval(), tmp_path / "x.onnx", metadata=METADATA, dynamic_size=True)
    assert not (tmp_path / "x.onnx").exists()


def test_pixels_as_input_have_one_size(network: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has one size"):
        rbnn_deploy.export(
            network, tmp_path / "x.onnx", metadata=METADATA, dynamic_size=True, input_format="uint8-nhwc"
        )
