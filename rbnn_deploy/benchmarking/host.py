"""What this machine is and in which state, and what of that makes a figure doubtful."""

import os
import platform
import shutil
import struct
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

CPUINFO = Path("/proc/cpuinfo")
SYSFS = Path("/sys/devices/system/cpu")
THERMAL = Path("/sys/class/thermal")

# ARM's numbers of its cores (implementer 0x41), of boards that people run such networks on.
ARM_CORES = {
    0xC07: "Cortex-A7", 0xC08: "Cortex-A8", 0xC09: "Cortex-A9", 0xC0F: "Cortex-A15",
    0xD03: "Cortex-A53", 0xD04: "Cortex-A35", 0xD05: "Cortex-A55", 0xD07: "Cortex-A57",
    0xD08: "Cortex-A72", 0xD09: "Cortex-A73", 0xD0A: "Cortex-A75", 0xD0B: "Cortex-A76",
    0xD0C: "Neoverse N1", 0xD0D: "Cortex-A77", 0xD40: "Neoverse V1", 0xD41: "Cortex-A78",
    0xD42: "Cortex-A78AE", 0xD44: "Cortex-X1", 0xD46: "Cortex-A510", 0xD47: "Cortex-A710",
    0xD48: "Cortex-X2", 0xD49: "Neoverse N2", 0xD4B: "Cortex-A78C", 0xD4F: "Neoverse V2",
}  # fmt: skip
HOT = 80.0  # degrees Celsius, where a Raspberry Pi begins to slow down
BUSY = 0.5  # runnable processes per core beside this one


@dataclass(frozen=True)
class State:
    """What changes while a benchmark runs; None where the system does not tell.

    Attributes:
        load: Runnable processes, the average of the last minute.
        megahertz: Clock of the fastest core now.
        celsius: Hottest sensor.
        throttled: Whether the firmware slowed the processor since boot.
    """

    load: float | None
    megahertz: float | None
    celsius: float | None
    throttled: bool | None


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None


def _numbers(paths: list[Path]) -> list[float]:
    texts = [_text(path) for path in paths]
    return [float(text) for text in texts if text and text.lstrip("-").isdigit()]


def _throttled() -> bool | None:
    if shutil.which("vcgencmd") is None:  # Raspberry Pi's firmware
        return None
    try:
        done = subprocess.run(
            ["vcgencmd", "get_throttled"], check=True, capture_output=True, text=True, timeout=5
        )
        return int(done.stdout.strip().partition("=")[2], 16) != 0
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def read_state() -> State:
    """Reads what changes while a benchmark runs."""
    clocks = _numbers(sorted(SYSFS.glob("cpu[0-9]*/cpufreq/scaling_cur_freq")))
    heat = _numbers(sorted(THERMAL.glob("thermal_zone*/temp")))
    return State(
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        megahertz=max(clocks) / 1000 if clocks else None,
        celsius=max(heat) / 1000 if heat else None,
        throttled=_throttled(),
    )


def _fields(cpuinfo: str) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for line in cpuinfo.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name.strip(), []).append(value.strip())
    return fields


def processor_name(cpuinfo: str) -> str | None:
    """Reads the processor's name: x86's own, or that of Arm's cores by their numbers.

    Args:
        cpuinfo: Text of /proc/cpuinfo.
    """
    fields = _fields(cpuinfo)
    if names := fields.get("model name"):
        return names[0]
    parts = fields.get("CPU part", [])
    cores = []
    for part in dict.fromkeys(parts):
        name = ARM_CORES.get(int(part, 16), f"Arm core {part}")
        cores.append(f"{parts.count(part)} x {name}" if len(parts) > 1 else name)
    board = fields.get("Model", fields.get("Hardware"))
    text = " + ".join(cores)
    return f"{text} ({board[0]})" if text and board else text or (board[0] if board else None)


@dataclass(frozen=True)
class Host:
    """The machine.

    Attributes:
        processor: Its name.
        architecture: As the kernel calls it.
        cores: Cores that this process may use.
        memory_mb: Main memory in MB (10^6 bytes).
        kernel: Name of the library's kernel that runs.
        cpu_features: Instruction sets that the library looks for and found.
        governor: Policy that sets the clock, where the system tells.
        before, after: Its state around the benchmark.
        versions: Of Python, ONNX Runtime, NumPy and the operator library.
        warnings: What makes the figures doubtful; each a sentence.
    """

    processor: str
    architecture: str
    cores: int
    memory_mb: float | None
    kernel: str
    cpu_features: tuple[str, ...]
    governor: str | None
    before: State
    after: State
    versions: dict[str, str]
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Returns the description for json.dumps."""
        return asdict(self)


def describe_host(before: State, after: State, threads: int) -> Host:
    """Describes this machine.

    Args:
        before: Its state before the benchmark.
        after: And behind it.
        threads: How many threads the benchmark used.

    Raises:
        UserError: The operator library is not installed.
    """
    import numpy  # noqa: PLC0415 - for its version
    import onnxruntime  # noqa: PLC0415

    from runtimes.library import library_info  # noqa: PLC0415

    info = library_info()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    governor = _text(SYSFS / "cpu0/cpufreq/scaling_governor")
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else None
    return Host(
        processor=processor_name(_text(CPUINFO) or "") or platform.processor() or "unknown processor",
        architecture=platform.machine(),
        cores=cores,
        memory_mb=None if pages is None else pages / 1e6,
        kernel=info["kernel"],
        cpu_features=tuple(info["cpu_features"]),
        governor=governor,
        before=before,
        after=after,
        versions={
            "python": platform.python_version(),
            "onnxruntime": onnxruntime.__version__,
            "numpy": numpy.__version__,
            "library": info["version"],
        },
        warnings=tuple(find_doubts(before, after, cores, threads, governor, info["kernel"])),
    )


def find_doubts(
    before: State, after: State, cores: int, threads: int, governor: str | None, kernel: str
) -> list[str]:
    """Returns sentences on what makes figures doubtful."""
    doubts = []
    if before.load is not None and before.load > BUSY * cores:
        doubts.append(
            f"other programs were running (load {before.load:.1f} on {cores} cores): stop them and repeat"
        )
    if threads > cores:
        doubts.append(f"{threads} threads shared {cores} cores: use at most {cores}")
    if governor in ("powersave", "conservative"):
        doubts.append(f"the clock is held down by the governor {governor}: set it to performance")
    if struct.calcsize("P") == 4:
        doubts.append("this is a 32-bit Python, which has no fast kernels: install a 64-bit system")
    if after.celsius is not None and after.celsius >= HOT:
        doubts.append(f"the processor is at {after.celsius:.0f} degrees and may have slowed down: cool it")
    if after.throttled:
        doubts.append("the firmware has slowed the processor since it was started: check cooling and supply")
    if kernel == "portable":
        doubts.append("the portable kernel runs: this processor has no faster one in this library")
    return doubts
