"""Outputs that were computed elsewhere, by a device that this host cannot ask: a file of them takes part."""

from collections.abc import Mapping
from pathlib import Path

from rbnn_deploy.comparing.traces import Feeds, Float32
from rbnn_deploy.data.array_files import read_arrays
from rbnn_deploy.errors import UserError
from rbnn_deploy.signature import Array, Signature, count_samples


class RecordedOutputs:
    """The outputs of all samples, in their order.

    It has no trace: differences from others cannot be explained, so bounds on agreement judge them.

    Args:
        name: Of the device, for the report.
        outputs: float32 [N, ...] by the output's name.
    """

    def __init__(self, name: str, outputs: Mapping[str, Array]) -> None:
        self.name = name
        self._outputs = outputs
        self._next = 0

    @classmethod
    def read(cls, path: Path, gives: Signature) -> "RecordedOutputs":
        """Reads a file of the model's outputs; see `read_arrays`.

        Raises:
            UserError: See `read_arrays`; or an output has another type.
        """
        outputs = read_arrays(path, [spec.name for spec in gives.outputs])
        for spec in gives.outputs:
            found = outputs[spec.name]
            if found.dtype.name != "float32" or found.ndim == 0:
                raise UserError(f"{path} holds {found.dtype} {list(found.shape)}, and not {spec.describe()}")
        return cls(path.name, outputs)

    def run(self, x: Feeds) -> dict[str, Float32]:
        """Returns the outputs of as many samples as are given, the next ones.

        Args:
            x: The samples, [N, ...] by input; only N counts.

        Returns:
            float32 [N, ...] by output.

        Raises:
            UserError: There are not so many.
        """
        begin, self._next = self._next, self._next + count_samples(x)
        part = {name: values[begin : self._next] for name, values in self._outputs.items()}
        if any(len(values) < count_samples(x) for values in part.values()):
            raise UserError(f"{self.name} holds outputs of fewer samples than are compared; compare the same")
        return part

    def check_end(self) -> None:
        """Checks that no outputs are left.

        Raises:
            UserError: There are.
        """
        if any(len(values) != self._next for values in self._outputs.values()):
            raise UserError(f"{self.name} holds outputs of more samples than were compared; compare the same")
