"""Each binary layer by itself: one recorded input, through every backend that must give the same bits."""

import numpy as np
import numpy.typing as npt
from onnx.reference import ReferenceEvaluator

from rbnn_deploy.comparing.binary_layers import BinaryLayer
from rbnn_deploy.comparing.statistics import same_bits
from rbnn_deploy.runtimes.numpy_backend.operators import NEW_OPS
from rbnn_deploy.runtimes.onnx_runtime import create_session
from rbnn_deploy.runtimes.operator_model import node_model

Float32 = npt.NDArray[np.float32]


def gives_same_bits(
    layer: BinaryLayer, x: Float32, residual: Float32 | None, threads: int | None = None
) -> bool:
    """Runs one layer in ONNX Runtime with the operator library and in the NumPy backend.

    Args:
        layer: The layer.
        x: float32 [N, H, W, C], its input, shifted (`BinaryLayer.shifted`); +1 and -1 where it reads bits.
        residual: float32 [N, OH, OW, O] where the layer has a computed one.
        threads: Of ONNX Runtime.

    Returns:
        Whether the outputs are the same, bit for bit.

    Raises:
        UserError: The operator library is not installed.
    """
    X = layer.restored(x)
    model = node_model(layer.attributes, layer.constants, residual=residual is not None)
    feeds = {"X": X} if residual is None else {"X": X, "R": residual}
    (expected,) = map(np.asarray, ReferenceEvaluator(model, new_ops=NEW_OPS).run(None, feeds))
    session = create_session(model.SerializeToString(), library=True, threads=threads)
    (got,) = session.run(None, feeds)
    return same_bits(got, expected) if got.dtype == np.float32 else np.array_equal(got, expected)
