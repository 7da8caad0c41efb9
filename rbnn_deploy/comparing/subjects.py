"""A deployed model in one runtime, as a subject of a comparison; torch's is rbnn_deploy.pytorch.comparing."""

from rbnn_deploy.comparing.binary_layers import BinaryLayer
from rbnn_deploy.comparing.traces import Binarised, Feeds, Float32, Trace
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

    def run(self, x: Feeds) -> dict[str, Float32]:
        """See `Subject`."""
        return self._runtime.run_outputs(x)

    def trace(self, x: Feeds) -> Trace:
        """See `Subject`; the thresholds are the specification's."""
        names = [name for layer in self._layers for name in (layer.x, layer.residual) if name is not None]
        outputs = [spec.name for spec in self._runtime.signature.outputs]
        found = self._runtime.run_with(x, [*outputs, *names])
        return Trace(
            outputs={name: found[name] for name in outputs},
            inputs={
                layer.name: Binarised(x, thresholds(x, layer.rule))
                for layer in self._layers
                for x in (layer.shifted(found[layer.x]),)
            },
            residuals={
                layer.name: found[layer.residual] for layer in self._layers if layer.residual is not None
            },
        )
