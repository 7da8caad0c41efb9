"""The table of device classes: the one place of the figures that an estimate assumes."""

from collections.abc import Sequence
from dataclasses import dataclass

from rbnn_deploy.errors import UserError

Range = tuple[float, float]  # from the slow end to the fast end


@dataclass(frozen=True)
class Device:
    """One core of a class of devices; each range goes from the slow end to the fast end.

    Attributes:
        name: As `--device` takes it.
        runs: Our C99 without a runtime, or ONNX Runtime with the operator library.
        clock: GHz.
        binary: Binary multiply-accumulates per cycle of a whole layer.
        real: float32 multiply-accumulates per cycle.
        element: Cycles per element of a binary layer's input and output: mean, signs, scale, bias, residual.
        node: Microseconds that a runtime needs per node besides.
        source: Where these figures come from.
    """

    name: str
    runs: str
    clock: Range
    binary: Range
    real: Range
    element: Range
    node: Range
    source: str

    @property
    def is_microcontroller(self) -> bool:
        """Whether there is no operating system, so that code and memory are those of the C99 export."""
        return self.runs == C99


C99, ORT = "C99", "ONNX Runtime"
_EMULATED = "from instructions counted in QEMU, at 1 to 1.5 cycles each (docs/c.md)"
_MODELLED = "from LLVM's models of the cores, halved at the slow end for cache misses (docs/arm.md)"
_MEASURED = "from this project's benchmarks (README.md)"

# All figures are for one thread and batch 1.
DEVICES = {
    device.name: device
    for device in (
        Device("cortex-m3", C99, (0.048, 0.12), (0.8, 2.0), (0.01, 0.04), (500, 150), (0, 0), _EMULATED),
        Device("cortex-m4", C99, (0.064, 0.18), (0.8, 2.0), (0.05, 0.25), (250, 80), (0, 0), _EMULATED),
        Device("cortex-m7", C99, (0.216, 0.48), (1.0, 3.0), (0.1, 0.5), (200, 25), (0, 0), _EMULATED),
        Device("cortex-a53", ORT, (1.0, 1.5), (12, 29), (0.8, 2.5), (4, 1), (12, 3), _MODELLED),
        Device("cortex-a72", ORT, (1.5, 2.0), (22, 60), (1.5, 5), (2, 0.5), (6, 1.5), _MODELLED),
        Device("cortex-a76", ORT, (1.8, 2.6), (27, 76), (2.5, 7), (1.5, 0.4), (4, 1), _MODELLED),
        Device("x86-64", ORT, (2.2, 4.5), (45, 130), (8, 30), (1, 0.2), (3, 0.5), _MEASURED),
        Device("x86-64-avx512", ORT, (2.2, 4.5), (100, 400), (12, 50), (0.7, 0.1), (3, 0.5), _MEASURED),
    )
}


def find_devices(names: Sequence[str]) -> list[Device]:
    """Returns the devices of these names.

    Raises:
        UserError: A name is not in the table.
    """
    for name in names:
        if name not in DEVICES:
            raise UserError(f"unknown device {name!r}; known are {', '.join(DEVICES)}")
    return [DEVICES[name] for name in names]
