"""The parts of a comparison: subjects, which compute outputs, and the records of their runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from rbnn_deploy.signature import Array

Float32 = npt.NDArray[np.float32]
Feeds = Mapping[str, Array]

TORCH = "torch"


@dataclass(frozen=True)
class Binarised:
    """One layer's input as one subject had it, for a batch.

    Attributes:
        x: float32 [N, H, W, C], less the thresholds per channel where the layer has such.
        t: float32 [N], the thresholds by the subject's own rule; 0 where they are per channel.
        signs_only: Whether x is +1 and -1, because a layer in front of this one has packed its bits.
    """

    x: Float32
    t: Float32
    signs_only: bool = False

    @property
    def bits(self) -> npt.NDArray[np.bool_]:
        """Bool [N, H, W, C]: `x >= t`."""
        return np.greater_equal(self.x, self.t.reshape(-1, 1, 1, 1))

    @property
    def on_threshold(self) -> int:
        """How many values are exactly their threshold."""
        return int(np.count_nonzero(self.x == self.t.reshape(-1, 1, 1, 1)))


@dataclass(frozen=True)
class Trace:
    """One run of one subject with the inputs of its binary layers.

    Attributes:
        outputs: float32 [N, ...] by name.
        inputs: By layer name, in no order.
        residuals: float32 [N, OH, OW, O] by layer name, for layers that have one; not for torch.
    """

    outputs: dict[str, Float32]
    inputs: dict[str, Binarised]
    residuals: dict[str, Float32]

    @property
    def samples(self) -> int:
        """The size of the batch."""
        return len(next(iter(self.outputs.values())))

    def of_sample(self, layer: str, sample: int) -> Binarised:
        """Returns one sample's part of a layer's input; see `rows_of`."""
        x, t = self.inputs[layer].x, self.inputs[layer].t
        rows = rows_of(len(x), self.samples, sample)
        return Binarised(x[rows], t[rows], self.inputs[layer].signs_only)


def rows_of(rows: int, samples: int, sample: int) -> slice:
    """Returns where one sample lies in a value whose first axis has the samples, or parts of each.

    So a clip [N, T, ...] that a network views as [N T, ...] is one sample with T rows.
    """
    each = rows // samples if samples and rows % samples == 0 else 1
    return slice(sample * each, (sample + 1) * each)


@dataclass(frozen=True)
class Replay:
    """A run in which the binary layers were given another subject's inputs (`replaying`).

    Attributes:
        outputs: float32 [N, ...] by name.
        own: float32 [N, H, W, C] by layer name: the input that the layer would have had.
        signs_only: The layers of which `own` has +1 and -1 (`Binarised`).
    """

    outputs: dict[str, Float32]
    own: dict[str, Float32]
    signs_only: frozenset[str] = frozenset()


class Subject(Protocol):
    """Something that computes outputs through the layers that are compared."""

    name: str

    def run(self, x: Feeds) -> dict[str, Float32]:
        """Computes the outputs by name from inputs by name, which are those of the model's signature."""

    def trace(self, x: Feeds) -> Trace:
        """Computes the outputs and keeps the binary layers' inputs."""


@runtime_checkable
class Judge(Protocol):
    """Something that repeats another subject's run (`replaying`)."""

    def replay(self, x: Feeds, recorded: Trace) -> Replay:
        """Repeats a run with the binary layers' inputs that another subject had.

        Args:
            x: The samples of the trace, by input.
            recorded: The other subject's results for them.
        """
