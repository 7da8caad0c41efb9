"""Describes this machine and its state, and warns of states that make a figure doubtful."""

import os
import platform
import shutil
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rbnn_deploy.benchmarking import processor
from rbnn_deploy.benchmarking.processor import arm_features, is_emulated, processor_name, read_text

HOT = 80.0  # degrees Celsius, where a Raspberry Pi begins to slow down
BUSY = 0.5  # runnable processes per core beside this one
SLOWER = 0.9  # a clock that falls below this share of its best value is no noise
HELD_DOWN = ("powersave", "conservative")  # governors

# The bits that a Raspberry Pi's firmware reports: now, and 16 bits higher, at any time since its start.
FIRMWARE = {0: "too low a voltage", 1: "a capped clock", 2: "throttling", 3: "its soft limit of temperature"}


@dataclass(frozen=True)
class State:
    """The values that change while a benchmark runs; None where the system does not tell.

    Attributes:
        load: Runnable processes, the average of the last minute.
        megahertz: Clock of the fastest core now.
        celsius: Hottest sensor.
        throttled: A Raspberry Pi's `get_throttled`: bits of FIRMWARE, now and since it was started.
    """

    load: float | None
    megahertz: float | None
    celsius: float | None
    throttled: int | None


def _system(pattern: str) -> list[Path]:
    return sorted((processor.ROOT / "sys").glob(pattern))


def _largest(pattern: str) -> float | None:
    """Returns the largest number in files that hold thousandths."""
    texts = [read_text(path) for path in _system(pattern)]
    return max((float(text) / 1000 for text in texts if text and text.lstrip("-").isdigit()), default=None)


def read_clock() -> float | None:
    """Reads the clock of the fastest core in MHz; None where the system does not tell."""
    return _largest("devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq")


def _throttled() -> int | None:
    texts = [read_text(path) for path in _system("devices/platform/soc*/soc*:firmware/get_throttled")]
    if not any(texts) and shutil.which("vcgencmd") is not None:
        command = ["vcgencmd", "get_throttled"]
        try:
            done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=5)
        except (OSError, subprocess.SubprocessError):
            return None
        texts = [done.stdout.strip().partition("=")[2]]
    try:
        return next((int(text, 16) for text in texts if text), None)
    except ValueError:
        return None


def read_state() -> State:
    """Reads the values that change while a benchmark runs."""
    return State(
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        megahertz=read_clock(),
        celsius=_largest("class/thermal/thermal_zone*/temp"),
        throttled=_throttled(),
    )


@dataclass(frozen=True)
class Host:
    """The machine.

    Attributes:
        processor: Its name.
        architecture: As the kernel calls it.
        cores: Cores that this process may use.
        memory_mb: Main memory in MB (10^6 bytes).
        kernel: Name of the library's kernel that runs.
        emulated: Whether another program translates the processor's instructions.
        cpu_features: Instruction sets that the library looks for and found; on Arm also others that count.
        governor: Policy that sets the clock, where the system tells; several with "+" between them.
        full_megahertz: Clock of the fastest core at its best, where the system tells.
        lowest_megahertz: The lowest that it had while timing, likewise.
        before, after: Its state around the benchmark.
        versions: Of Python, ONNX Runtime, NumPy and the operator library.
        warnings: Reasons to doubt the figures; each a sentence.
    """

    processor: str
    architecture: str
    cores: int
    memory_mb: float | None
    kernel: str
    emulated: bool
    cpu_features: tuple[str, ...]
    governor: str | None
    full_megahertz: float | None
    lowest_megahertz: float | None
    before: State
    after: State
    versions: dict[str, str]
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Returns the description for json.dumps."""
        return asdict(self)


def describe_host(before: State, after: State, threads: int, clocks: Sequence[float | None] = ()) -> Host:
    """Describes this machine.

    Args:
        before: Its state before the benchmark.
        after: And behind it.
        threads: How many threads the benchmark used.
        clocks: The results of `read_clock` in between.

    Raises:
        UserError: The operator library is not installed.
    """
    import numpy  # noqa: PLC0415 - for its version
    import onnxruntime  # noqa: PLC0415

    from rbnn_deploy.runtimes.library import library_info  # noqa: PLC0415

    info = library_info()
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else None
    governors = {read_text(path) for path in _system("devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor")}
    host = Host(
        processor=processor_name(),
        architecture=platform.machine(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_mb=None if pages is None else pages / 1e6,
        kernel=info["kernel"],
        emulated=is_emulated(platform.machine()),
        cpu_features=(*info["cpu_features"], *arm_features()),
        governor=" + ".join(sorted(name for name in governors if name)) or None,
        full_megahertz=_largest("devices/system/cpu/cpu[0-9]*/cpufreq/cpuinfo_max_freq"),
        lowest_megahertz=min((clock for clock in clocks if clock is not None), default=None),
        before=before,
        after=after,
        versions={
            "python": platform.python_version(),
            "onnxruntime": onnxruntime.__version__,
            "numpy": numpy.__version__,
            "library": info["version"],
        },
        warnings=(),
    )
    return replace(host, warnings=tuple(find_doubts(host, threads)))


def _firmware_doubts(before: int | None, after: int | None) -> list[str]:
    if not after:
        return []
    since_start = after >> 16
    now = after | (since_start & ~((before or 0) >> 16))  # with those new since the beginning
    doubts = []
    for bits, when in ((now, "during the benchmark"), (since_start & ~now, "before, since it was started")):
        if found := [name for bit, name in FIRMWARE.items() if bits >> bit & 1]:
            doubts.append(f"the firmware reports {' and '.join(found)} {when}: check cooling and supply")
    return doubts


def _clock_doubts(host: Host) -> list[str]:
    # The best that x86 announces is one core's turbo, which none holds: there the clock is only described.
    arm = host.architecture.startswith(("aarch64", "arm"))
    full, lowest = host.full_megahertz, host.lowest_megahertz
    if not arm or full is None or lowest is None or lowest >= SLOWER * full:
        return []
    remedy = "set the governor to performance, and cool the processor"
    return [f"the clock fell to {lowest:.0f} of {full:.0f} MHz while timing: {remedy}"]


def find_doubts(host: Host, threads: int) -> list[str]:
    """Returns sentences that give reasons to doubt the figures.

    Args:
        host: The machine; its warnings are not read.
        threads: How many threads the benchmark used.
    """
    load, celsius = host.before.load, host.after.celsius
    doubts = []
    if host.emulated:
        doubts.append("the processor is emulated: results are right, but times mean nothing; use a real one")
    if load is not None and load > BUSY * host.cores:
        doubts.append(
            f"other programs were running (load {load:.1f} on {host.cores} cores): stop them and repeat"
        )
    if threads > host.cores:
        doubts.append(f"{threads} threads shared {host.cores} cores: use at most {host.cores}")
    if host.governor and (held := [name for name in host.governor.split(" + ") if name in HELD_DOWN]):
        doubts.append(f"the clock is held down by the governor {held[0]}: set it to performance")
    if struct.calcsize("P") == 4:
        doubts.append("this is a 32-bit Python, which has no fast kernels: install a 64-bit system")
    if celsius is not None and celsius >= HOT:
        doubts.append(f"the processor is at {celsius:.0f} degrees and may have slowed down: cool it")
    doubts += _clock_doubts(host)
    doubts += _firmware_doubts(host.before.throttled, host.after.throttled)
    if host.kernel == "portable":
        doubts.append("the portable kernel runs: this processor has no faster one in this library")
    return doubts
