"""Each binary layer by itself: one recorded input, through every backend that must give the same bits."""

import numpy as np
import numpy.typing as npt

from rbnn_deploy.comparing.binary_layers import BinaryLayer
from rbnn_deploy.comparing.statistics import same_bits
from rbnn_deploy.runtimes.numpy_backend.binary_conv2d import binary_conv2d
from rbnn_deploy.runtimes.onnx_runtime import create_session
from rbnn_deploy.runtimes.operator_model import operator_model

Float32 = npt.NDArray[np.float32]


def gives_same_bits(
    layer: BinaryLayer, x: Float32, residual: Float32 | None, threads: int | None = None
) -> bool:
    """Runs one layer in ONNX Runtime with the operator library and in the NumPy backend.

    Args:
        layer: The layer.
        x: float32 [N, H, W, C], its input.
        residual: float32 [N, OH, OW, O] where the layer has a computed one.
        threads: Of ONNX Runtime.

    Returns:
        Whether the outputs are the same, bit for bit.

    Raises:
        UserError: The operator library is not installed.
    """
    W, scale, bias, *constant = layer.constants
    if residual is None and constant:
        residual = constant[0]
    expected = binary_conv2d(x, W, scale, bias, residual, attributes=layer.attributes)
    model = operator_model(W, scale, bias, layer.attributes, residual=residual is not None)
    session = create_session(model.SerializeToString(), library=True, threads=threads)
    feeds = {"X": x} if residual is None else {"X": x, "R": residual}
    (got,) = session.run(None, feeds)
    return same_bits(got, expected)
