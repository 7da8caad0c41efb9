"""The sessions that are timed: models in ONNX Runtime that do not disturb each other."""

from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from rbnn_deploy.errors import UserError
from rbnn_deploy.operators import DOMAIN, DOMAIN_VERSION, POPCOUNT_PEAK
from rbnn_deploy.runtimes.onnx_runtime import create_session


@dataclass(frozen=True)
class Candidate:
    """One model to time.

    Attributes:
        name: "ort" for the deployed model, or the baseline's name.
        path: Its file.
        library: Whether the operator library is registered.
    """

    name: str
    path: Path
    library: bool = False


class Peak:
    """The host's xor-popcount-add peak, measured anew by each call (docs/ops/PopcountPeak.md).

    Raises:
        UserError: The installed library is too old.
    """

    def __init__(self) -> None:
        node = helper.make_node(POPCOUNT_PEAK, [], ["peak"], domain=DOMAIN)
        output = helper.make_tensor_value_info("peak", TensorProto.FLOAT, [1])
        opsets = [helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, DOMAIN_VERSION)]
        model = helper.make_model(
            helper.make_graph([node], "peak", [], [output]), opset_imports=opsets, ir_version=8
        )
        try:
            self._session = create_session(model.SerializeToString(), library=True, threads=1)
        except Exception as error:
            if POPCOUNT_PEAK in str(error):
                raise UserError(
                    "the installed operator library is older than this program; install rbnn-deploy again"
                ) from error
            raise

    def __call__(self) -> float:
        """Returns G binary multiply-accumulates per second on one thread."""
        return float(self._session.run(None, {})[0][0])


def name_every_node(model: onnx.ModelProto) -> None:
    """Gives each node a name of its own, by which a profile tells it, in place."""
    seen: set[str] = set()
    for index, node in enumerate(model.graph.node):
        if not node.name or node.name in seen:
            node.name = f"{node.op_type}_{index}"
        seen.add(node.name)
