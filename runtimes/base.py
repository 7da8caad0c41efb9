"""The interface of every runtime: a loaded model that maps a batch of images to logits."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rbnn_deploy.errors import UserError
from rbnn_deploy.input_image import AXES, Float32, describe_batch, is_batch
from rbnn_deploy.metadata import ModelMetadata


class Runtime(ABC):
    """A loaded model.

    Attributes:
        name: The runtime's name, as `load_model` takes it.
        path: The model's file.
        metadata: The model's metadata; None if rbnn-deploy did not export it.
        input_name: Name of the graph's input.
        input_dims: The graph's [N, C, H, W]; None where a dimension is open.
        output_name: Name of the graph's first output, the logits.
    """

    name: str
    path: Path
    metadata: ModelMetadata | None
    input_name: str
    input_dims: tuple[int | None, ...]
    output_name: str

    def __repr__(self) -> str:
        network = f"{self.metadata.architecture!r}, " if self.metadata is not None else ""
        how = f", {self._how}" if self._how else ""
        takes = describe_batch(self.input_dims)
        return f"<{type(self).__name__} {self.name!r}: {network}{takes}{how}, from {str(self.path)!r}>"

    @property
    def _how(self) -> str:
        """What computes the binary layers, in a few words; for `repr`."""
        return ""

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """(C, H, W) of one image; None where the model leaves a dimension open."""
        return self.input_dims[1:]

    def run(self, x: Float32) -> Float32:
        """Computes the logits.

        Args:
            x: float32 [N, C, H, W], normalised as the network was trained.

        Returns:
            float32 [N, classes].

        Raises:
            UserError: x has another type or shape, or the model cannot be computed.
        """
        return self.run_with(x, [self.output_name])[self.output_name]

    def run_with(self, x: Float32, names: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
        """Computes the named tensors of the graph: outputs, values between nodes, or the input itself.

        Args:
            x: float32 [N, C, H, W], as `run` takes it.
            names: Names of tensors in the model's graph.

        Returns:
            The tensors by name.

        Raises:
            UserError: As `run` does, and for a name that the graph does not have.
        """
        self._check_input(x)
        wanted = [name for name in dict.fromkeys(names) if name != self.input_name]
        found = self._run(x, wanted) if wanted else {}
        return found | ({self.input_name: x} if self.input_name in names else {})

    @abstractmethod
    def _run(self, x: Float32, names: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
        """Computes named tensors, which do not include the input, for an x that has been checked."""

    def _check_input(self, x: Any) -> None:
        if is_batch(x, self.input_dims):
            return
        wanted = describe_batch(self.input_dims)
        if not isinstance(x, np.ndarray) or x.dtype != np.float32:
            kind = x.dtype if isinstance(x, np.ndarray) else type(x).__name__
            raise UserError(f"the model takes {wanted}, not {kind}; convert the images to a float32 array")
        raise UserError(f"the model takes {wanted}, not {list(x.shape)}; resize or reshape the images")


def check_inputs(path: Path, inputs: Sequence[tuple[str, bool, Sequence[Any]]], outputs: int) -> None:
    """Checks that a model maps one batch of images to something.

    Args:
        path: The model's file.
        inputs: Name, whether it is float32, and dimensions of each input of the graph.
        outputs: Number of outputs of the graph.

    Raises:
        UserError: It does not.
    """
    if len(inputs) != 1 or not inputs[0][1] or len(inputs[0][2]) != len(AXES) or not outputs:
        raise UserError(f"{path} does not take one {describe_batch()} input; only image models run here")
