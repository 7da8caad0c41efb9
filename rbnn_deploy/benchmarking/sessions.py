"""The sessions that are timed: models in ONNX Runtime that do not disturb each other."""

from dataclasses import dataclass
from pathlib import Path

import onnx

from rbnn_deploy.runtimes.library import library_info, popcount_peak


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
    """The host's xor-popcount-add peak, measured anew by each call (docs/kernels.md).

    Raises:
        UserError: The library is missing, too old, or refuses `RBNN_KERNEL`.
    """

    def __init__(self) -> None:
        library_info()  # raises here, before anything is timed

    def __call__(self) -> float:
        """Returns G binary multiply-accumulates per second on one thread."""
        return popcount_peak()


def name_every_node(model: onnx.ModelProto) -> None:
    """Gives each node a name of its own, by which a profile tells it, in place."""
    seen: set[str] = set()
    for index, node in enumerate(model.graph.node):
        if not node.name or node.name in seen:
            node.name = f"{node.op_type}_{index}"
        seen.add(node.name)
