"""The operator library: its path and its description of itself."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import onnx
import onnxruntime as ort

import rbnn_deploy.runtimes
from rbnn_deploy.errors import UserError
from rbnn_deploy.operators import DOMAIN, DOMAIN_VERSION, LIBRARY_INFO

FILE_NAME = "librbnn_ops.so"

# Read by ONNX Runtime 1.18, the oldest with the C API that the library asks for.
_OPSET, _IR_VERSION = 18, 8


def get_library_path() -> str:
    """Returns the path of the operator library, for `SessionOptions.register_custom_ops_library`.

    Raises:
        UserError: The library is not installed.
    """
    # An editable installation has two directories: the source tree's, and the one the library is built into.
    for directory in rbnn_deploy.runtimes.__path__:
        path = Path(directory) / FILE_NAME
        if path.is_file():
            return str(path)
    raise UserError(
        f"the operator library {FILE_NAME} is not installed; install rbnn-deploy with pip "
        "(in a checkout: `pip install -e . --no-build-isolation`), which needs a C++17 compiler"
    )


def library_info() -> dict[str, Any]:
    """Asks the operator library for its version and kernel (docs/ops/LibraryInfo.md).

    Returns:
        `version`, `kernel` (the one selected now, `RBNN_KERNEL` included), `kernels` (a list of `name` and
        `available`, best first) and `cpu_features` (names).

    Raises:
        UserError: The library is not installed, or refuses `RBNN_KERNEL`.
    """
    options = ort.SessionOptions()
    options.register_custom_ops_library(get_library_path())
    options.log_severity_level = 4  # a refusal is raised below; ONNX Runtime need not log it as well
    try:
        session = ort.InferenceSession(_info_model(), options, providers=["CPUExecutionProvider"])
        (text,) = session.run(None, {})
    except Exception as error:
        # ONNX Runtime puts words of its own around the library's message.
        raise UserError(f"the operator library refuses to run: {error}") from error
    info: dict[str, Any] = json.loads(text.tobytes().decode())
    return info


@cache
def _info_model() -> bytes:
    """Serialises a model whose only node is LibraryInfo."""
    output = onnx.helper.make_tensor_value_info("info", onnx.TensorProto.UINT8, [None])
    node = onnx.helper.make_node(LIBRARY_INFO, [], ["info"], domain=DOMAIN)
    graph = onnx.helper.make_graph([node], "library_info", [], [output])
    opsets = [onnx.helper.make_opsetid("", _OPSET), onnx.helper.make_opsetid(DOMAIN, DOMAIN_VERSION)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
    serialized: bytes = model.SerializeToString()
    return serialized
