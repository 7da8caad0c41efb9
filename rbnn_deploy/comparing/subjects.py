"""A deployed model in one runtime, as a subject of a comparison; torch's is rbnn_deploy.pytorch.comparing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rbnn_deploy.comparing.binary_layers import BinaryLayer
from rbnn_deploy.comparing.traces import TORCH, Binarised, Feeds, Float32, Replay, Trace
from rbnn_deploy.data.preprocessing import normalise
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.model_files import ModelFile
from rbnn_deploy.onnx_graph import signature
from rbnn_deploy.runtimes import Runtime
from rbnn_deploy.runtimes.numpy_backend.threshold import thresholds

if TYPE_CHECKING:
    from torch import nn

    from rbnn_deploy.pytorch.comparing import TorchSubject


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
                layer.name: Binarised(x, thresholds(x, layer.rule), layer.signs_only)
                for layer in self._layers
                for x in (layer.shifted(found[layer.x]),)
            },
            residuals={
                layer.name: found[layer.residual] for layer in self._layers if layer.residual is not None
            },
        )


class PixelsToTorch:
    """PyTorch's module beside a model that takes pixels: each image is normalised as the model does it.

    Args:
        subject: The module, which takes float32 [N, C, H, W].
        metadata: The model's.
    """

    name = TORCH

    def __init__(self, subject: TorchSubject, metadata: ModelMetadata) -> None:
        self._subject = subject
        self._metadata = metadata

    def run(self, x: Feeds) -> dict[str, Float32]:
        """See `Subject`."""
        return self._subject.run(self._normalised(x))

    def trace(self, x: Feeds) -> Trace:
        """See `Subject`."""
        return self._subject.trace(self._normalised(x))

    def replay(self, x: Feeds, recorded: Trace) -> Replay:
        """See `Judge`."""
        return self._subject.replay(self._normalised(x), recorded)

    def _normalised(self, x: Feeds) -> Feeds:
        image = self._metadata.image
        return {name: normalise(pixels, image.mean, image.std) for name, pixels in x.items()}


def signs_of_zero(module: nn.Module) -> dict[str, int]:
    """Returns by binary layer what its method's published code takes for the sign of 0 (`ties`)."""
    from rbnn_deploy.pytorch.layers import binary_layers  # noqa: PLC0415 - imports torch

    return {name: layer.sign_of_zero for name, layer in binary_layers(module)}


def torch_subject(module: nn.Module, file: ModelFile) -> TorchSubject | PixelsToTorch:
    """Returns a module as a subject that takes what a deployed model takes.

    Args:
        module: The module; it is copied.
        file: The model's.
    """
    # Comparing runtimes with each other does without torch.
    from rbnn_deploy.pytorch.comparing import TorchSubject  # noqa: PLC0415

    subject = TorchSubject(module, signature(file.model.graph))
    metadata = file.metadata
    return PixelsToTorch(subject, metadata) if metadata is not None and metadata.takes_pixels else subject
