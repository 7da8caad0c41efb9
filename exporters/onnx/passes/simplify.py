"""Constant folding, BatchNorm into float convolutions, removal of what does nothing: onnxsim."""

import onnxsim
from onnxscript import ir


def simplify(model: ir.Model) -> ir.Model:
    """Runs onnxsim.

    Its own numerical check is left out: it cannot run our operator. `rbnn-deploy compare` does that.
    """
    proto, _ = onnxsim.simplify(ir.to_proto(model), check_n=0)
    simplified: ir.Model = ir.from_proto(proto)
    return simplified
