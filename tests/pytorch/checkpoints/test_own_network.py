"""Checkpoints of a user's own network: loaded exactly, whatever wraps their tensors."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from rbnn_deploy import ModelMetadata, export, load_model
from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.checkpoints.checkpoint import save_checkpoint, save_safetensors
from rbnn_deploy.pytorch.checkpoints.own_network import load_own_checkpoint
from rbnn_deploy.pytorch.layers import RotatedBinaryConv2d
from rbnn_deploy.signature import INPUT

SHAPE = (2, 6, 6)
X = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(0))


class Own(nn.Module):
    """All of its names begin with one that also wraps networks; no state dict holds its factor."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.model = nn.Sequential(
            RotatedBinaryConv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(64, 5)
        )
        self.model.register_buffer("factor", torch.tensor(2.0), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x) * self.model.factor


def trained() -> nn.Module:
    return Own(seed=1).eval()


def write(path: Path, form: str) -> None:
    state = trained().state_dict()
    content = {
        "alone": state,
        "lightning": {"state_dict": {f"net.{key}": value for key, value in state.items()}, "epoch": 3},
        "compiled": {f"_orig_mod.{key}": value for key, value in state.items()},
        "beside": {"model": {f"student.{k}": v for k, v in state.items()} | {"loss.weight": torch.ones(2)}},
        "half": {key: value.half() if value.is_floating_point() else value for key, value in state.items()},
    }
    torch.save(content[form], path)


@pytest.mark.parametrize("form", ["alone", "lightning", "compiled", "beside", "half"])
def test_every_wrapping_gives_the_trained_network(form: str, tmp_path: Path) -> None:
    path = tmp_path / "own.pt"
    write(path, form)
    module = Own()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    network = load_own_checkpoint(path, module, {INPUT: SHAPE})
    want = trained()
    if form == "half":
        want = want.half().float()
    with torch.no_grad():
        assert torch.equal(network.module(X), want(X))
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    assert (network.architecture, network.num_classes, network.input_shape) == ("Own", 5, SHAPE)
    assert (network.mean, network.std, network.class_names) == (None, None, None)
    assert bool(network.notes) == (form != "alone")


@pytest.mark.parametrize("save", [save_checkpoint, save_safetensors])
def test_the_checkpoint_of_a_compiled_network_tells_its_images(save, tmp_path: Path) -> None:
    path = tmp_path / "own"
    facts = {"mean": (0, 0.5), "std": [1, 2], "class_names": [*"abcde"], "input_shape": SHAPE}
    save(path, torch.compile(trained()), "mypkg.nets:Own", epoch=2, best_accuracy=50.0, **facts)
    network = load_own_checkpoint(path, Own())
    assert (network.mean, network.std, network.input_shape) == ((0.0, 0.5), (1.0, 2.0), SHAPE)
    assert (network.class_names, network.epoch, network.notes) == (tuple("abcde"), 2, ())
    with torch.no_grad():
        assert torch.equal(network.module(X), trained()(X))


@pytest.mark.parametrize(
    ("change", "shape", "said"),
    [
        (
            lambda s: s.pop("model.3.bias"),
            SHAPE,
            "does not fit Own: no tensor model.3.bias; name the network",
        ),
        (lambda s: s.update({"model.9.bias": torch.ones(1)}), SHAPE, "unknown tensor model.9.bias"),
        (
            lambda s: s.update({"model.3.bias": torch.ones(7)}),
            SHAPE,
            r"model.3.bias has shape \[7\], not \[5\]",
        ),
        (lambda s: s.update({"model.3.bias": torch.full((5,), torch.nan)}), SHAPE, "not finite"),
        (lambda s: None, None, "does not tell its input's shape; .*--input-shape"),
        (lambda s: None, (2, 9, 9), r"Own cannot run on inputs of shape \[2, 9, 9\]: .*right input shape"),
    ],
)
def test_what_does_not_fit_is_refused(change, shape, said: str, tmp_path: Path) -> None:
    path = tmp_path / "own.pt"
    state = trained().state_dict()
    change(state)
    torch.save(state, path)
    with pytest.raises(UserError, match=said) as caught:
        load_own_checkpoint(path, Own(), shape and {INPUT: shape})
    assert "\n" not in str(caught.value)


def test_a_network_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"1 \(LazyLinear\) has no weights yet"):
        load_own_checkpoint(
            tmp_path / "own.pt", nn.Sequential(nn.Flatten(), nn.LazyLinear(3)), {INPUT: SHAPE}
        )


@pytest.mark.parametrize(
    "norm", [nn.utils.spectral_norm, nn.utils.parametrizations.spectral_norm], ids=["hook", "parametrization"]
)
def test_weights_that_are_computed_are_those_that_were_loaded(norm, tmp_path: Path) -> None:
    """The old spectral_norm keeps its last result, which loading a state dict does not change."""
    pytest.importorskip("onnxscript")

    def build(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        layers = (norm(nn.Conv2d(2, 4, 3)), RotatedBinaryConv2d(4, 4, 3), nn.Flatten(), nn.Linear(16, 3))
        return nn.Sequential(*layers)

    trained = build(1)
    trained.train()(X)
    trained.eval()
    path = tmp_path / "own.pt"
    torch.save(trained.state_dict(), path)
    network = load_own_checkpoint(path, build(2), {INPUT: SHAPE})
    metadata = ModelMetadata("own", SHAPE, mean=(0, 0), std=(1, 1))
    export(network, tmp_path / "own.onnx", metadata=metadata)
    logits = load_model(tmp_path / "own.onnx", "numpy").run(X.numpy())
    with torch.no_grad():
        want = trained(X).numpy()
    assert abs(logits - want).max() < 1e-5  # float32 sums of 16 values, in another order
