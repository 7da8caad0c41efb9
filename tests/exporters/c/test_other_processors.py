"""Generated C compiled for other processors and run by emulators: its self-test finds NumPy's bits.

Two of them have the NEON code, one has 32 bits, and one is big-endian.
"""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from support.generated_c import WARNINGS, compiles, write_c
from support.quant_network import quant_network
from support.random_networks import draw_network

from rbnn_deploy.models import EMBEDDED_MODEL


@dataclass(frozen=True)
class Processor:
    """A processor that QEMU emulates for programs of Linux.

    Attributes:
        prefix: Of the compiler.
        emulator: QEMU's program.
        options: Of the compiler.
        packages: Of Debian, beside qemu-user-static.
        macro: What the compiler defines, if this is the processor that is meant.
    """

    prefix: str
    emulator: str
    options: tuple[str, ...]
    packages: str
    macro: str


PROCESSORS = {
    "Arm64": Processor(
        "aarch64-linux-gnu",
        "qemu-aarch64-static",
        (),
        "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
        "__ARM_NEON",
    ),
    "Arm of 32 bits": Processor(
        "arm-linux-gnueabihf",
        "qemu-arm-static",
        ("-mfpu=neon-vfpv4",),
        "gcc-arm-linux-gnueabihf libc6-dev-armhf-cross",
        "__ARM_NEON",
    ),
    "big-endian s390x": Processor(
        "s390x-linux-gnu",
        "qemu-s390x-static",
        ("-std=gnu99",),  # with c99, gcc says that float is computed as double, which kernels.h refuses
        "gcc-s390x-linux-gnu libc6-dev-s390x-cross",
        "__s390x__",
    ),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The C files of the embedded network, of one with int8 layers, and of some at random."""
    models = [
        EMBEDDED_MODEL,
        quant_network(),
        *(draw_network(np.random.default_rng(seed)) for seed in range(8)),
    ]
    return [write_c(model, tmp_path_factory.mktemp("network")).folder for model in models]


@pytest.mark.parametrize("name", PROCESSORS)
@pytest.mark.parametrize("level", ["-O1", "-O3"])
def test_the_self_test_passes(name: str, level: str, folders: list[Path], tmp_path: Path) -> None:
    processor = PROCESSORS[name]
    compiler = f"{processor.prefix}-gcc"
    for tool, packages in ((compiler, processor.packages), (processor.emulator, "qemu-user-static")):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not here (Debian: {packages})")
    options = [*WARNINGS, level, *processor.options, "-static"]
    macros = subprocess.run(
        [compiler, *options, "-dM", "-E", "-xc", "/dev/null"], capture_output=True, text=True, check=True
    ).stdout
    assert processor.macro in macros.split()
    for index, folder in enumerate(folders):
        program = tmp_path / str(index)
        sources = [str(folder / file) for file in ("selftest.c", "model.c", "weights.c")]
        compiles([compiler, *options, "-o", str(program), *sources])
        done = subprocess.run(
            [processor.emulator, program], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, f"network {index}: {done.stdout}{done.stderr}"
        equal, _, count, *_ = done.stdout.split()
        assert int(equal) == int(count) > 0
