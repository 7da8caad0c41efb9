"""Generated C on emulated microcontrollers: NumPy's bits, within the memory that docs/c.md states."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.generated_c import compiles, write_c
from support.paths import ROOT

from rbnn_deploy.models import EMBEDDED_MODEL

BOARDS = ROOT / "tests" / "support" / "microcontroller"
FLAGS = (
    *("-std=gnu99", "-O2", "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections"),
    *("-ffreestanding", "-nostartfiles"),
)


@dataclass(frozen=True)
class Family:
    """A family of processors.

    Attributes:
        board: Name of its files in `BOARDS`.
        prefix: Of the compiler's programs.
        options: Of the compiler.
        packages: Of Debian.
    """

    board: str
    prefix: str
    options: tuple[str, ...]
    packages: str


CORTEX_M = Family(
    "cortex_m",
    "arm-none-eabi-",
    ("-mthumb",),
    "gcc-arm-none-eabi, libnewlib-arm-none-eabi, qemu-system-arm",
)
RISCV = Family(
    "riscv",
    "riscv64-unknown-elf-",
    ("-mcmodel=medany", "--specs=picolibc.specs"),
    "gcc-riscv64-unknown-elf, picolibc-riscv64-unknown-elf, qemu-system-misc",
)


@dataclass(frozen=True)
class Processor:
    """An emulated processor and what docs/c.md says of it.

    Attributes:
        family: Its family.
        options: Of the compiler.
        emulator: QEMU's program and board.
        flash: Code and constants in kB, with the recorded image (3 kB) and the code that starts the board.
        instructions: Of one image, in millions.
    """

    family: Family
    options: tuple[str, ...]
    emulator: tuple[str, ...]
    flash: int
    instructions: int


MPS2 = ("qemu-system-arm", "-M")
VIRT32, VIRT64 = ((f"qemu-system-riscv{bits}", "-M", "virt", "-bios", "none") for bits in (32, 64))
FLOAT32, FLOAT64 = (("-mfloat-abi=hard", f"-mfpu={unit}") for unit in ("fpv4-sp-d16", "fpv5-d16"))
PROCESSORS = {
    "cortex-m3": Processor(CORTEX_M, ("-mcpu=cortex-m3",), (*MPS2, "mps2-an385"), 65, 141),
    "cortex-m4": Processor(CORTEX_M, ("-mcpu=cortex-m4", *FLOAT32), (*MPS2, "mps2-an386"), 64, 48),
    "cortex-m7": Processor(CORTEX_M, ("-mcpu=cortex-m7", *FLOAT64), (*MPS2, "mps2-an500"), 64, 48),
    "rv32imac": Processor(RISCV, ("-march=rv32imac", "-mabi=ilp32"), VIRT32, 68, 220),
    "rv32imafc": Processor(RISCV, ("-march=rv32imafc", "-mabi=ilp32f"), VIRT32, 64, 50),
    "rv64imafdc": Processor(RISCV, ("-march=rv64imafdc", "-mabi=lp64d"), VIRT64, 65, 50),
}


def run(processor: Processor, model: Path, folder: Path) -> tuple[dict[str, int], list[int]]:
    """Compiles and runs a model; returns what it prints, and the sizes of text, data and bss."""
    family = processor.family
    for tool in (f"{family.prefix}gcc", processor.emulator[0]):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not here (Debian: {family.packages})")
    made = write_c(model, folder).folder
    selftest = (made / "selftest.c").read_text()
    recording = re.search(r"static const uint8_t input.*?(?=int main)", selftest, re.DOTALL)
    (folder / "recording.h").write_text("#include <stdint.h>\n" + recording[0])
    elf = folder / "model.elf"
    sources = [BOARDS / f"{family.board}.c", BOARDS / "run.c", made / "model.c", made / "weights.c"]
    places = ["-I", made, "-I", folder, "-T", BOARDS / f"{family.board}.ld", "-o", elf]
    command = [f"{family.prefix}gcc", *FLAGS, *family.options, *processor.options, *places, *sources]
    compiles([*map(str, command), "-lc", "-lgcc"])
    command = [*processor.emulator, "-nographic", "-icount", "shift=0", "-kernel", str(elf)]
    command += ["-semihosting-config", "enable=on,target=native"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    # Semihosting writes to standard error.
    lines = [line.split() for line in (done.stdout + done.stderr).splitlines() if line.count(" ") == 1]
    sizes = subprocess.run(
        [f"{family.prefix}size", str(elf)], capture_output=True, text=True, check=True
    ).stdout.splitlines()[1]
    return {name: int(value) for name, value in lines}, [int(size) for size in sizes.split()[:3]]


@pytest.mark.parametrize("name", PROCESSORS)
def test_a_microcontroller_gives_numpys_bits(name: str, tmp_path: Path) -> None:
    processor = PROCESSORS[name]
    found, (text, data, bss) = run(processor, EMBEDDED_MODEL, tmp_path)
    assert found["equal"] == 10
    assert found["stack"] < 1024
    # Other versions of the compiler give other code; these bounds notice a change of ours.
    assert found["instructions"] == pytest.approx(processor.instructions * 10**6, rel=0.2)
    assert text + data == pytest.approx(processor.flash * 1000, rel=0.1)
    assert data + bss < 82_000


@pytest.mark.parametrize("name", ["cortex-m3", "cortex-m4", "rv32imac"])
def test_the_network_for_digits_fits_the_smallest_boards(name: str, model: Path, tmp_path: Path) -> None:
    """64 kB of flash; and of memory, of which such boards have 20 to 32 kB, less than 10 kB."""
    found, (text, data, bss) = run(PROCESSORS[name], model, tmp_path)
    assert found["equal"] == 10
    assert text + data < 64_000
    assert data + bss + found["stack"] < 10_000
