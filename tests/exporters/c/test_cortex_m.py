"""Generated C on emulated microcontrollers: NumPy's bits, within the memory that docs/c.md states."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support.generated_c import compiles, write_c
from support.paths import ROOT

from rbnn_deploy.models import EMBEDDED_MODEL

COMPILER, EMULATOR = "arm-none-eabi-gcc", "qemu-system-arm"
BOARD = ROOT / "tests" / "support" / "cortex_m"
PROCESSORS = {
    "cortex-m3": ("mps2-an385", ()),
    "cortex-m4": ("mps2-an386", ("-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")),
    "cortex-m7": ("mps2-an500", ("-mfloat-abi=hard", "-mfpu=fpv5-d16")),
}

PACKAGES = "Debian: gcc-arm-none-eabi, libnewlib-arm-none-eabi, qemu-system-arm"

pytestmark = [
    pytest.mark.skipif(not shutil.which(tool), reason=f"{tool} is not here ({PACKAGES})")
    for tool in (COMPILER, EMULATOR)
]


@pytest.mark.parametrize("processor", PROCESSORS)
def test_a_microcontroller_gives_numpys_bits(processor: str, tmp_path: Path) -> None:
    machine, floating_point = PROCESSORS[processor]
    folder = write_c(EMBEDDED_MODEL, tmp_path).folder
    selftest = (folder / "selftest.c").read_text()
    recording = re.search(r"static const uint8_t input.*?(?=int main)", selftest, re.DOTALL)
    (tmp_path / "recording.h").write_text("#include <stdint.h>\n" + recording[0])
    elf = tmp_path / "model.elf"
    options = ["-std=gnu99", "-O2", f"-mcpu={processor}", "-mthumb", *floating_point]
    options += ["-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections"]
    options += ["-ffreestanding", "-nostartfiles"]
    sources = [str(BOARD / "board.c"), str(folder / "model.c"), str(folder / "weights.c")]
    includes = ["-I", str(folder), "-I", str(tmp_path), "-T", str(BOARD / "link.ld")]
    compiles([COMPILER, *options, *includes, "-o", str(elf), *sources, "-lc", "-lgcc"])
    command = [EMULATOR, "-M", machine, "-nographic", "-icount", "shift=0", "-kernel", str(elf)]
    command += ["-semihosting-config", "enable=on,target=native"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    # Semihosting writes to standard error.
    found = dict(line.split() for line in (done.stdout + done.stderr).splitlines() if line.count(" ") == 1)
    assert int(found["equal"]) == 10
    assert int(found["stack"]) < 1024
    assert 10**6 < int(found["instructions"]) < 6 * 10**8
    sizes = (
        subprocess.run(
            [COMPILER.replace("gcc", "size"), str(elf)], capture_output=True, text=True, check=True
        )
        .stdout.splitlines()[1]
        .split()
    )
    text, data, bss = map(int, sizes[:3])
    assert text + data < 64_000  # the recorded image of 3 kB and the code that starts the board included
    assert data + bss < 82_000
