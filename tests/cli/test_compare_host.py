"""`compare --host`: a runtime on another host, compared value by value with those here."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from support.ssh import left_by_us

from rbnn_deploy.comparing import compare
from rbnn_deploy.comparing.elsewhere import open_there
from rbnn_deploy.errors import UserError
from rbnn_deploy.remote import RemoteHost

THERE = ("--host", "pi@board", "--remote-python", sys.executable)


def test_the_board_is_compared_layer_by_layer(board: Path, small_model_path: Path, cli: Callable) -> None:
    outcome = cli(
        "compare",
        small_model_path,
        "--random",
        6,
        *THERE,
        "--runtimes",
        "ort,numpy",
        "--layers",
        "--json",
        "-",
    )
    assert outcome.code == 0, outcome.err
    content = json.loads(outcome.out)
    pairs = {(pair["left"], pair["right"]): pair for pair in content["pairs"]}
    assert ("ort", "ort on pi@board") in pairs
    assert pairs["ort", "ort on pi@board"]["bit_identical"]
    assert left_by_us(board) == []


def test_one_runtime_here_and_one_there(board: Path, small_model_path: Path, cli: Callable) -> None:
    outcome = cli("compare", small_model_path, "--random", 2, *THERE, "--runtimes", "ort")
    assert outcome.code == 0, outcome.err
    assert "ort on pi@board" in " ".join(outcome.out.split())


def test_another_model_there_is_found_out(board: Path, small_model_path: Path, tmp_path: Path) -> None:
    """A board that computes something else, as one with a broken kernel would."""
    other = tmp_path / "other.onnx"
    model = onnx.load(small_model_path)
    bias = next(tensor for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT)
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + 1, bias.name))
    properties = [entry for entry in model.metadata_props if not entry.key.endswith("sha256")]
    del model.metadata_props[:]
    model.metadata_props.extend(properties)
    onnx.save(model, other)
    x = np.random.default_rng(0).standard_normal((4, 3, 8, 8)).astype(np.float32)
    with open_there(other, RemoteHost("board"), sys.executable, "ort") as runtime:
        report = compare(small_model_path, None, x, runtimes=("ort",), others=(runtime,))
    assert not report.ok


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--remote-runtime", "abacus"], "abacus on pi@board: there is no runtime 'abacus'"),
        (["--runtimes", ""], "comparing takes two"),
    ],
)
def test_what_is_refused(
    options: list[str], sentence: str, board: Path, small_model_path: Path, cli: Callable
) -> None:
    outcome = cli("compare", small_model_path, "--random", 2, *THERE, *options)
    assert (outcome.code, outcome.out) == (2, "")
    assert sentence in outcome.err
    assert left_by_us(board) == []


def test_errors_come_back_and_the_conversation_goes_on(board: Path, small_model_path: Path) -> None:
    with open_there(small_model_path, RemoteHost("board"), sys.executable, "numpy") as runtime:
        x = np.zeros((1, 3, 8, 8), np.float32)
        with pytest.raises(UserError, match=r"numpy on board: .*no tensor named absent"):
            runtime.run_with(x, ["absent"])
        assert np.isfinite(runtime.run(x)).all()


def test_a_board_that_ends(board: Path, small_model_path: Path) -> None:
    host = RemoteHost("board")
    with (
        pytest.raises(UserError, match="ort on board ended"),
        open_there(small_model_path, host, "false", "ort"),
    ):
        pass
