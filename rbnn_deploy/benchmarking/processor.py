"""Which processor this is: its cores by name, their features that count, whether it is emulated."""

import platform
import threading
from pathlib import Path

ROOT = Path("/")  # of /proc and /sys; a test's is elsewhere

# Cores of boards that people run such networks on, by implementer (0x41 is ARM) and part, as the register
# MIDR_EL1 holds them; the numbers stand in each core's technical reference manual.
ARM_CORES = {
    (0x41, 0xC07): "Cortex-A7", (0x41, 0xC08): "Cortex-A8", (0x41, 0xC09): "Cortex-A9",
    (0x41, 0xC0F): "Cortex-A15", (0x41, 0xD03): "Cortex-A53", (0x41, 0xD04): "Cortex-A35",
    (0x41, 0xD05): "Cortex-A55", (0x41, 0xD07): "Cortex-A57", (0x41, 0xD08): "Cortex-A72",
    (0x41, 0xD09): "Cortex-A73", (0x41, 0xD0A): "Cortex-A75", (0x41, 0xD0B): "Cortex-A76",
    (0x41, 0xD0C): "Neoverse N1", (0x41, 0xD0D): "Cortex-A77", (0x41, 0xD40): "Neoverse V1",
    (0x41, 0xD41): "Cortex-A78", (0x41, 0xD42): "Cortex-A78AE", (0x41, 0xD44): "Cortex-X1",
    (0x41, 0xD46): "Cortex-A510", (0x41, 0xD47): "Cortex-A710", (0x41, 0xD48): "Cortex-X2",
    (0x41, 0xD49): "Neoverse N2", (0x41, 0xD4B): "Cortex-A78C", (0x41, 0xD4F): "Neoverse V2",
    (0x4E, 0x003): "Denver 2", (0x4E, 0x004): "Carmel",
}  # fmt: skip
# As Linux calls them: vectors, half precision, dot products of bytes, matrix products, scalable vectors.
ARM_FEATURES = ("asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2")
# ELF's e_machine of a program, by the family whose instructions it is made of.
ELF_FAMILIES = {3: "x86", 62: "x86", 40: "Arm", 183: "Arm"}


def read_text(path: Path) -> str | None:
    """Reads a file of /proc or /sys; None where there is none, or none for this user."""
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None


def _fields(cpuinfo: str) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for line in cpuinfo.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name.strip(), []).append(value.strip())
    return fields


def _hexadecimal(texts: list[str]) -> list[int]:
    try:
        return [int(text, 16) for text in texts]
    except ValueError:
        return []


def _arm_cores(fields: dict[str, list[str]]) -> list[tuple[int, int]]:
    """Returns implementer and part of every core."""
    paths = (ROOT / "sys/devices/system/cpu").glob("cpu[0-9]*/regs/identification/midr_el1")
    registers = _hexadecimal([text for path in paths if (text := read_text(path))])
    listed = zip(
        _hexadecimal(fields.get("CPU implementer", [])),
        _hexadecimal(fields.get("CPU part", [])),
        strict=False,
    )
    from_registers = [(midr >> 24 & 0xFF, midr >> 4 & 0xFFF) for midr in registers]
    return max(list(listed), from_registers, key=len)  # /proc/cpuinfo leaves out cores that are asleep


def _core_name(implementer: int, part: int) -> str:
    return ARM_CORES.get((implementer, part), f"Arm core 0x{part:03x} of implementer 0x{implementer:02x}")


def processor_name() -> str:
    """Names the processor: x86's own name, or Arm's cores by their numbers, the smaller ones first."""
    fields = _fields(read_text(ROOT / "proc/cpuinfo") or "")
    if names := fields.get("model name"):
        return names[0]
    cores = sorted(_arm_cores(fields))
    text = " + ".join(f"{cores.count(core)} x {_core_name(*core)}" for core in dict.fromkeys(cores))
    board = read_text(ROOT / "proc/device-tree/model") or "".join(
        fields.get("Model", fields.get("Hardware", []))[:1]
    )
    board = board.rstrip("\0")
    if text and board:
        return f"{text} ({board})"
    return text or board or platform.processor() or "unknown processor"


def arm_features() -> tuple[str, ...]:
    """Returns those of ARM_FEATURES that every core has."""
    cores = [
        set(text.split()) for text in _fields(read_text(ROOT / "proc/cpuinfo") or "").get("Features", [])
    ]
    return tuple(name for name in ARM_FEATURES if cores and all(name in core for core in cores))


def is_emulated(machine: str) -> bool:
    """Says whether a program translates this one's instructions, as QEMU does for one of another family.

    Then the kernel runs a program of its own family, whatever this one believes to be. (QEMU answers for
    /proc/self/exe; it does not for the thread's.)

    Args:
        machine: The kernel's name of the architecture: `platform.machine()`.
    """
    try:
        with (ROOT / f"proc/self/task/{threading.get_native_id()}/exe").open("rb") as program:
            header = program.read(20)
    except OSError:
        return False
    running = ELF_FAMILIES.get(int.from_bytes(header[18:20], "little")) if header[:4] == b"\x7fELF" else None
    believed = "Arm" if machine.startswith(("aarch64", "arm")) else "x86"
    return running is not None and running != believed
