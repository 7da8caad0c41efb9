"""Every command that takes a checkpoint takes every form of it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from rbnn_deploy.pytorch.checkpoints.checkpoint import load_checkpoint, save_safetensors

FORMS = ["zip", "legacy", "safetensors", "wrapped"]


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest, checkpoint: Path, tmp_path: Path) -> Path:
    """The checkpoint in another form, under a name that does not tell."""
    path = tmp_path / "file"
    content = torch.load(checkpoint, weights_only=True)
    if request.param == "safetensors":
        pytest.importorskip("safetensors")
        network = load_checkpoint(checkpoint)
        save_safetensors(path, network.module, network.architecture, epoch=1, best_accuracy=1.0)
    elif request.param == "wrapped":
        state = {f"model._orig_mod.{key}": value for key, value in content["state_dict"].items()}
        torch.save({"model": state}, path)
    else:
        torch.save(content, path, _use_new_zipfile_serialization=request.param == "zip")
    return path


def test_every_command_takes_every_form(
    form: Path, cli: Callable, checkpoint: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    model = tmp_path / "model.onnx"
    outcomes = [
        cli("export", form, "-o", model),
        cli("inspect", form),
        cli("compare", model, "--checkpoint", form, "--random", 2, "--runtimes", "torch,ort"),
    ]
    assert [outcome.code for outcome in outcomes] == [0, 0, 0], [outcome.err for outcome in outcomes]
    notes = [line for outcome in outcomes for line in outcome.err.splitlines() if line.startswith("note: ")]
    if "wrapped" in request.node.name:
        assert notes[0] == f"note: {form}: the weights were found as model"
        assert len(notes) == 9
    else:
        assert notes == []
    assert outcomes[1].out.splitlines()[1:] != []
    original = cli("inspect", checkpoint)
    layers = [line for line in original.out.splitlines() if "layer1" in line]
    assert layers
    assert [line for line in outcomes[1].out.splitlines() if "layer1" in line] == layers


def test_inspect_names_what_a_file_is_not(cli: Callable, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes((10).to_bytes(8, "little") + b"{" + b" " * 20)
    outcome = cli("inspect", file)
    assert outcome.code == 2
    assert outcome.err == f"error: {file} is damaged or incomplete; download or copy it again\n"
