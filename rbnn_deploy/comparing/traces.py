"""The parts of a comparison: subjects, which compute logits, and the records of their runs."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]

TORCH = "torch"


@dataclass(frozen=True)
class Binarised:
    """One layer's input as one subject had it, for a batch.

    Attributes:
        x: float32 [N, H, W, C], less the thresholds per channel where the layer has such.
        t: float32 [N], the thresholds by the subject's own rule; 0 where they are per channel.
    """

    x: Float32
    t: Float32

    @property
    def bits(self) -> npt.NDArray[np.bool_]:
        """Bool [N, H, W, C]: `x >= t`."""
        return np.greater_equal(self.x, self.t.reshape(-1, 1, 1, 1))


@dataclass(frozen=True)
class Trace:
    """One run of one subject with the inputs of its binary layers.

    Attributes:
        logits: float32 [N, classes].
        inputs: By layer name, in no order.
        residuals: float32 [N, OH, OW, O] by layer name, for layers that have one; not for torch.
    """

    logits: Float32
    inputs: dict[str, Binarised]
    residuals: dict[str, Float32]


@dataclass(frozen=True)
class Replay:
    """A run in which the binary layers were given another subject's inputs (`replaying`).

    Attributes:
        logits: float32 [N, classes].
        own: float32 [N, H, W, C] by layer name: the input that the layer would have had.
    """

    logits: Float32
    own: dict[str, Float32]


class Subject(Protocol):
    """Something that maps images to logits through the layers that are compared."""

    name: str

    def run(self, x: Float32) -> Float32:
        """Computes the logits of float32 [N, C, H, W]."""

    def trace(self, x: Float32) -> Trace:
        """Computes the logits and keeps the binary layers' inputs."""


@runtime_checkable
class Judge(Protocol):
    """Something that repeats another subject's run (`replaying`)."""

    def replay(self, x: Float32, recorded: Trace) -> Replay:
        """Repeats a run with the binary layers' inputs that another subject had.

        Args:
            x: float32 [N, C, H, W], the samples of the trace.
            recorded: The other subject's results for them.
        """
