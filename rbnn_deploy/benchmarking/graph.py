"""Permutations that the baselines share; questions to a graph are in `rbnn_deploy.onnx_graph`."""

import numpy as np
import numpy.typing as npt

# The two modules that build baselines import these from here.
from rbnn_deploy.onnx_graph import attributes, constants, is_binary_conv, static_shapes, uses

TO_CHANNELS_LAST = [0, 2, 3, 1]  # perm of a Transpose from NCHW to NHWC
TO_CHANNELS_FIRST = [0, 3, 1, 2]  # and back; also: the NHWC axis at which each NCHW axis stands

__all__ = [
    "TO_CHANNELS_FIRST",
    "TO_CHANNELS_LAST",
    "attributes",
    "constants",
    "int64",
    "is_binary_conv",
    "static_shapes",
    "uses",
]


def int64(*values: int) -> npt.NDArray[np.int64]:
    """Makes a list of integers as ONNX operators take it."""
    return np.array(values, np.int64)
