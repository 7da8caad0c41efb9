"""A deployed model in one runtime, as a subject of a comparison; torch's is rbnn_deploy.pytorch.comparing."""

from rbnn_deploy.comparing.binary_layers import BinaryLayer
from rbnn_deploy.comparing.traces import Binarised, Float32, Trace
from rbnn_deploy.runtimes import Runtime
from rbnn_deploy.runtimes.numpy_backend.threshold import thresholds


class RuntimeSubject:
    """A deployed model in a runtime.

    Args:
        runtime: The loaded model.
        layers: Its binary layers.
    """

    def __init__(self, runtime: Runtime, layers: list[BinaryLayer]) -> None:
        self.name = runtime.name
        self._runtime = runtime
        self._layers = layers

    def run(self, x: Float32) -> Float32:
        """See `Subject`."""
        logits: Float32 = self._runtime.run(x)
        return logits

    def trace(self, x: Float32) -> Trace:
        """See `Subject`; the thresholds are the specification's."""
        names = [name for layer in self._layers for name in (layer.x, layer.residual) if name is not None]
        output = self._runtime.signature.outputs[0].name
        found = self._runtime.run_with(x, [output, *names])
        return Trace(
            logits=found[output],
            inputs={
                layer.name: Binarised(x, thresholds(x, layer.rule))
                for layer in self._layers
                for x in (layer.shifted(found[layer.x]),)
            },
            residuals={
                layer.name: found[layer.residual] for layer in self._layers if layer.residual is not None
            },
        )
