"""The interface of every runtime: a loaded model that maps named inputs to named outputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rbnn_deploy.errors import UserError
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.signature import INPUT_TYPES, Array, Inputs, Signature, quoted

if TYPE_CHECKING:
    from rbnn_deploy.data.sources import Images
    from rbnn_deploy.runtimes.predicting import Prediction

TOP = 5


class Runtime(ABC):
    """A loaded model.

    Attributes:
        name: The runtime's name, as `load_model` takes it.
        path: The model's file.
        metadata: The model's metadata; None if rbnn-deploy did not export it.
        signature: Names, types and sizes of its inputs and outputs.
    """

    name: str
    path: Path
    metadata: ModelMetadata | None
    signature: Signature

    def __repr__(self) -> str:
        network = f"{self.metadata.architecture!r}, " if self.metadata is not None else ""
        how = f", {self._how}" if self._how else ""
        takes = self.signature.describe_inputs()
        if len(self.signature.outputs) > 1:
            takes = self.signature.describe()
        return f"<{type(self).__name__} {self.name!r}: {network}{takes}{how}, from {str(self.path)!r}>"

    @property
    def _how(self) -> str:
        """What computes the binary layers, in a few words; for `repr`."""
        return ""

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """Sizes of the first input behind the batch, (C, H, W) of an image; None where one is open."""
        sizes = self.signature.inputs[0].shape or ()
        return tuple(size if isinstance(size, int) else None for size in sizes[1:])

    def run(self, inputs: Inputs) -> Any:
        """Computes the outputs.

        Args:
            inputs: An array where the model has one input, such as float32 [N, C, H, W] of images, normalised
                as the network was trained, or uint8 [N, H, W, C] where the model takes pixels; or arrays by
                the names of the inputs, all of the same batch size.

        Returns:
            One array where the model has one output, such as float32 [N, classes]; arrays by name where it
            has several.

        Raises:
            UserError: An input is missing or has another type or shape, or the model cannot be computed.
        """
        outputs = self.run_outputs(inputs)
        return next(iter(outputs.values())) if len(outputs) == 1 else outputs

    def run_outputs(self, inputs: Inputs) -> dict[str, Array]:
        """Computes the outputs by name, in the model's order, also where there is one; see `run`."""
        return self.run_with(inputs, [spec.name for spec in self.signature.outputs])

    def run_with(self, inputs: Inputs, names: Sequence[str]) -> dict[str, Array]:
        """Computes the named tensors of the graph: outputs, values between nodes, or inputs themselves.

        Args:
            inputs: As `run` takes them.
            names: Names of tensors in the model's graph.

        Returns:
            The tensors by name.

        Raises:
            UserError: As `run` does, and for a name that the graph does not have.
        """
        feeds = self.signature.feeds(inputs)
        wanted = [name for name in dict.fromkeys(names) if name not in feeds]
        found = self._run(feeds, wanted) if wanted else {}
        return {name: feeds[name] if name in feeds else found[name] for name in dict.fromkeys(names)}

    def predict(
        self, images: Images, top: int = TOP, labels: Sequence[str] | None = None
    ) -> list[Prediction]:
        """Classifies images as they come from a camera or a file.

        They are resized and normalised as the model's metadata say; if these have no mean and no std, a
        warning says that images are only scaled to [0, 1].

        Args:
            images: uint8 pixels [N, H, W, C], [H, W, C] or grey [H, W]; a Pillow image; the name of a file,
                folder or pattern; or an iterable of these. Sizes may differ.
            top: How many classes to name per image.
            labels: Names of the classes, in logit order; None takes those of the model.

        Returns:
            One prediction per image, in their order.

        Raises:
            UserError: An image cannot be read, the model does not say how images become its input or gives
                no scores, or there are not as many labels as classes.
        """
        from rbnn_deploy.runtimes.predicting import predict  # noqa: PLC0415 - it loads Pillow; `run` needs none

        return predict(self, images, top, labels)

    @abstractmethod
    def _run(self, feeds: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
        """Computes named tensors, which do not include inputs, for inputs that have been checked."""


def check_signature(path: Path, signature: Signature) -> None:
    """Checks that a runtime can be given a model's inputs.

    Args:
        path: The model's file.
        signature: What the model takes and returns.

    Raises:
        UserError: It has no input, or one of a type or shape that arrays here do not have.
    """
    if not signature.inputs:
        raise UserError(f"{path} has no input; run a model that `rbnn-deploy export` wrote")
    for spec in signature.inputs:
        if spec.dtype not in INPUT_TYPES or not spec.shape:
            raise UserError(
                f"{path} takes {spec.describe()} as {quoted(spec.name)}; only models with a batch as first "
                f"axis of every input, of {', '.join(INPUT_TYPES)}, run here"
            )
