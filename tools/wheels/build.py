"""Builds wheels for other machines: one for each platform, with the Python packages and the operator library.

    python tools/wheels/build.py linux-aarch64 linux-x86_64

The library has a C interface and no Python in it, so one wheel serves every Python of a platform. It is
compiled with Zig, which brings every target's C library in the version asked for, so the result does not
depend on the machine that builds it. pyproject.toml and CMakeLists.txt describe everything else.
"""

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import ziglang

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Target:
    """A platform.

    Attributes:
        zig: Zig's name of it, with the oldest C library that the wheel shall run with.
        platform: The wheel's platform tag, which promises the same.
        host_platform: The result of `sysconfig.get_platform()` there.
    """

    zig: str
    platform: str
    host_platform: str


# No newer C library than ONNX Runtime's own wheels ask for. Windows brings its own since version 10.
TARGETS = {
    "linux-aarch64": Target("aarch64-linux-gnu.2.28", "manylinux_2_28_aarch64", "linux-aarch64"),
    "linux-x86_64": Target("x86_64-linux-gnu.2.17", "manylinux_2_17_x86_64", "linux-x86_64"),
    "windows-x86_64": Target("x86_64-windows-gnu", "win_amd64", "win-amd64"),
}


def build(name: str, output: Path) -> None:
    """Builds one wheel into `output`."""
    target = TARGETS[name]
    settings = {
        "build-dir": f"build/wheel-{name}",
        "cmake.define.CMAKE_TOOLCHAIN_FILE": str(ROOT / "tools/wheels/zig.cmake"),
        "cmake.define.RBNN_ZIG": str(Path(ziglang.__file__).parent / "zig"),
        "cmake.define.RBNN_ZIG_TARGET": target.zig,
        "wheel.tags": f"py3-none-{target.platform}",
        "install.strip": "false",  # the linker does it: this machine's strip does not know the target
    }
    command = [sys.executable, "-m", "pip", "wheel", str(ROOT), "--no-deps", "--no-build-isolation"]
    command += ["--wheel-dir", str(output)]
    for key, value in settings.items():
        command += ["--config-settings", f"{key}={value}"]
    # Without it scikit-build-core would look for this machine's Python and its ABI.
    environment = os.environ | {"_PYTHON_HOST_PLATFORM": target.host_platform}
    subprocess.run(command, check=True, cwd=ROOT, env=environment)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="+", choices=sorted(TARGETS))
    parser.add_argument("--output", type=Path, default=ROOT / "dist")
    arguments = parser.parse_args()
    for name in arguments.targets:
        build(name, arguments.output)


if __name__ == "__main__":
    main()
