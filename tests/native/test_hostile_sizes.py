"""Files that ask for memory out of proportion to their size, or put bytes that are no text into messages."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from support.nodes import ATTRIBUTES, run_node, tensors

from rbnn_deploy.errors import UserError
from rbnn_deploy.runtimes.onnx_runtime import OrtRuntime

PLAIN = ATTRIBUTES | {"pads": [0] * 4, "threshold": "zero"}


def layer(
    channels: int, weights: tuple[int, ...], height: int = 5, samples: int = 1
) -> dict[str, np.ndarray]:
    return {
        "X": np.ones((samples, height, 5, channels), np.float32),
        "W": np.zeros(weights, np.uint8),
        "scale": np.ones(weights[0], np.float32),
        "bias": np.zeros(weights[0], np.float32),
    }


@pytest.mark.parametrize(
    ("weights", "channels"), [((1, 2**24 - 1, 1, 1), 1), ((2**20, 1, 1, 1), 2**20)], ids=["rows", "groups"]
)
def test_weights_that_are_nearly_all_gaps_are_refused(weights: tuple[int, ...], channels: int) -> None:
    attributes = PLAIN | {"channels": channels, "groups": channels}
    with pytest.raises(Exception, match=r"BinaryConv2d: a W of \d+ bytes would take \d+ bytes in memory"):
        run_node(layer(channels, weights), attributes)


def test_a_large_depthwise_layer_runs() -> None:
    attributes = PLAIN | {"channels": 8192, "groups": 8192, "pads": [1] * 4}
    y = run_node(layer(8192, (8192, 3, 3, 1)), attributes)
    assert y.shape == (1, 5, 5, 8192)
    assert (y[:, 1:-1, 1:-1] == -9).all()


def test_an_output_that_is_nearly_all_padding_is_refused() -> None:
    attributes = PLAIN | {"pads": [6 * 10**7, 0, 0, 0]}
    with pytest.raises(Exception, match="60000005 x 5 is too large for an input map of 5 x 5"):
        run_node(layer(8, (4, 1, 1, 1)), attributes)


def test_a_map_larger_than_the_free_size_runs_where_the_input_is_as_large() -> None:
    # 2^22 output pixels are free; more must come with an input map.
    y = run_node(layer(8, (1, 1, 1, 1), height=2**20), PLAIN)
    assert y.shape == (1, 2**20, 5, 1)


MEASURED = """
import resource, sys
import numpy as np
from support.nodes import ATTRIBUTES, run_node, tensors
values = tensors() | {"X": np.zeros((0, 2**20, 2**9, 8), np.float32), "W": np.zeros((4, 1, 1, 1), np.uint8)}
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
y = run_node(values, ATTRIBUTES | {"pads": [0] * 4})
print(y.shape, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_no_samples_take_no_memory() -> None:
    # A plan for the map would take 8 bytes for each of its 2^29 pixels, 4 GiB.
    done = subprocess.run(
        [sys.executable, "-c", MEASURED],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[1],
        env={"PYTHONPATH": f"{Path(__file__).parents[1]}:{Path(__file__).parents[2]}"},
    )
    assert done.returncode == 0, done.stderr
    shape, _, kilobytes = done.stdout.rpartition(" ")
    assert shape == f"(0, {2**20}, {2**9}, 4)"
    assert int(kilobytes) < 2**18


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"\xff\xfe", r"'\xff\xfe'"),
        (b"a\nb\x00", r"'a\x0ab\x00'"),
        (b"x" * 10**7, "'" + "x" * 40 + "...'"),
    ],
    ids=["no-utf8", "control", "long"],
)
def test_strings_of_a_file_are_shown_as_short_text(value: bytes, shown: str) -> None:
    attributes: dict[str, Any] = ATTRIBUTES | {"threshold": value}
    with pytest.raises(Exception, match=f"but is {re.escape(shown)}") as info:
        run_node(tensors(), attributes)
    assert not isinstance(info.value, UnicodeDecodeError)
    assert len(str(info.value)) < 1000


def test_a_message_that_is_no_text_is_still_one_sentence(tmp_path: Path) -> None:
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 1, 2, 2]) for n in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Zqzqzq", ["x"], ["y"])], "g", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx.ModelProto.SerializeToString(model).replace(b"Zqzqzq", b"Z\xff\xfe\xfdzq"))
    with pytest.raises(
        UserError, match=r"model\.onnx is no valid model: it holds names that are no text"
    ) as info:
        OrtRuntime(path)
    assert "\n" not in str(info.value)
