"""The float network of a deployed model: what somebody without binary layers would deploy."""

import onnx

from rbnn_deploy.topology import fill, unpack


def float_baseline(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """Builds the float32 network of a deployed model's topology, with random weights.

    Args:
        model: A deployed model; it is not changed.

    Returns:
        A model of standard operators with the same inputs and outputs; None where the file does not hold its
        plain graph, because an earlier version wrote it.

    Raises:
        UserError: The plain graph in the file is damaged.
    """
    plain = unpack(model)
    return None if plain is None else fill(plain)
