"""Constant folding, BatchNorm into float convolutions, removal of what does nothing: onnxsim."""

import onnxsim
from onnxscript import ir

# It makes one reduction of two with the second one's keepdims, which changes the rank of the result.
WRONG = ["fuse_consecutive_reduce"]


def simplify(model: ir.Model) -> ir.Model:
    """Runs onnxsim.

    Its own numerical check is left out: it cannot run our operator. `rbnn-deploy compare` does that.
    """
    proto, _ = onnxsim.simplify(ir.to_proto(model), check_n=0, skipped_optimizers=WRONG)
    simplified: ir.Model = ir.from_proto(proto)
    return simplified
