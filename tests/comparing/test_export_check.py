"""`export` compares a few random inputs with PyTorch before it puts the file in place."""

import warnings
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import rbnn_deploy
from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.layers import begin_epoch
from rbnn_deploy.pytorch.methods import BinarizeConv2d

METADATA = rbnn_deploy.ModelMetadata("network", (3, 8, 8), mean=(0, 0, 0), std=(1, 1, 1))


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.binary = rbnn_deploy.RotatedBinaryConv2d(3, 8, 3, padding=1)
        self.head = nn.Linear(8, 4)
        begin_epoch(self, 0, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.binary(x).mean((2, 3)))


class Dropping(Network):
    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(super().forward(x), 0.5)


class Counting(Network):
    """Computes something else while torch.export looks at it."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + (1.0 if torch.compiler.is_exporting() else 0.0)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (Dropping, "Dropping gives two results for the same input.*F.dropout"),
        (Counting, "computes something else than Counting: 4 of 4 random inputs have logits up to 1 apart"),
    ],
)
def test_a_model_that_computes_something_else_is_not_written(kind, said, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"an older model")
    with pytest.raises(UserError, match=said):
        rbnn_deploy.export(kind(), path, metadata=METADATA)
    assert path.read_bytes() == b"an older model"
    assert list(tmp_path.iterdir()) == [path]


def test_the_check_can_be_switched_off(tmp_path: Path) -> None:
    result = rbnn_deploy.export(Counting(), tmp_path / "model.onnx", metadata=METADATA, check=False)
    assert result.path.stat().st_size == result.size


def test_the_file_is_the_same_with_and_without_a_check(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for name, check in (("a", True), ("b", False)):
            result = rbnn_deploy.export(Network(), tmp_path / name, metadata=METADATA, check=check)
            assert result.path == tmp_path / name
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_sums_on_the_next_threshold_are_no_difference(tmp_path: Path) -> None:
    """A new BatchNorm leaves sums of 0 as they are; ONNX Runtime's fusions move them in the functions."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 3, padding=1)]
    for _ in range(2):
        conv = BinarizeConv2d(64, 64, kernel_size=3, padding=1)
        layers += [conv, nn.BatchNorm2d(64), nn.Hardtanh()]
    module = nn.Sequential(*layers, nn.Conv2d(64, 4, 1)).eval()
    metadata = rbnn_deploy.ModelMetadata("ties", (3, 64, 64), mean=(0, 0, 0), std=(1, 1, 1))
    with pytest.warns(UserWarning, match="exactly their threshold") as caught:
        rbnn_deploy.export(module, tmp_path / "model.onnx", metadata=metadata)
    assert [Path(warning.filename) for warning in caught] == [Path(__file__)]


@pytest.mark.parametrize("options", [{"float_layers": "int8"}, {"bits_between_layers": True}])
def test_options_that_need_the_optimised_graph_are_refused_first(options: dict, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        calibration = tmp_path if "float_layers" in options else None
        with pytest.raises(UserError, match="need the simplified graph"):
            rbnn_deploy.export(
                Dropping(),
                tmp_path / "model.onnx",
                metadata=METADATA,
                simplify=False,
                calibration=calibration,
                **options,
            )
