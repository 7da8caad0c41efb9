"""A model whose weights were damaged after its export is named by every command that reads it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from PIL import Image

from rbnn_deploy.model_files.digest import PROPERTY, model_digest
from rbnn_deploy.onnx_graph import properties


def test_a_changed_bit_of_the_weights_is_named(cli: Callable, model: Path, tmp_path: Path) -> None:
    proto = onnx.load(model)
    assert properties(proto)[PROPERTY] == model_digest(proto)  # `export` stored it
    weights = next(t for t in proto.graph.initializer if t.data_type == onnx.TensorProto.UINT8)
    content = bytearray(model.read_bytes())
    content[content.index(weights.raw_data) + 7] ^= 16
    damaged, report, image = (tmp_path / name for name in ("damaged.onnx", "report.json", "image.png"))
    damaged.write_bytes(content)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(image)
    for arguments in (
        ["inspect", damaged, "--json", report],
        ["compare", damaged, "--random", 1, "--runtimes", "ort,numpy", "--json", report],
        ["run", damaged, image],
    ):
        outcome = cli(*arguments)
        assert outcome.code == 2
        assert outcome.err.startswith(f"error: {damaged} is no valid model: its weights, graph or metadata")
        assert outcome.err.count("\n") == 1
        assert not outcome.out
        assert not report.exists()
