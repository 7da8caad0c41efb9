"""The table of operators that can run channels-last; one row each."""

from collections.abc import Mapping

from rbnn_deploy.exporters.onnx.layout.handler import Handler
from rbnn_deploy.exporters.onnx.layout.handlers import elementwise, linear, movement, pooling, reduction

HANDLERS: Mapping[str, Handler] = {
    **elementwise.HANDLERS,
    **linear.HANDLERS,
    **movement.HANDLERS,
    **pooling.HANDLERS,
    **reduction.HANDLERS,
}
