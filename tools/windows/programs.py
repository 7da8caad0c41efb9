"""Builds for Windows what tests/windows runs in Wine: the C++ tests and the examples, with ONNX Runtime.

    python tools/windows/programs.py 1.32.0

Writes build/windows, and build/tests for this machine; the tests compare the outputs of both. The compiler
is that of tools/wheels/requirements.txt. ONNX Runtime comes from its wheel for Windows, in the version that
the argument names; its headers must be in build/onnxruntime (`make onnxruntime-headers`).
"""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NATIVE, WINDOWS = ROOT / "build" / "tests", ROOT / "build" / "windows"
TARGET = "x86_64-windows-gnu"
PROGRAM = "rbnn_kernel_tests"
HEADERS = ROOT / "build" / "onnxruntime"


def run(*command: str | Path) -> None:
    """Runs a command, and ends where it fails."""
    subprocess.run([str(part) for part in command], check=True)


def build_with_cmake(zig: Path) -> None:
    """Builds the operator library and the C++ tests, for both systems."""
    options = {
        "CMAKE_TOOLCHAIN_FILE": ROOT / "tools/wheels/zig.cmake",
        "RBNN_ZIG": zig,
        "RBNN_ZIG_TARGET": TARGET,
    }
    for folder, definitions in ((NATIVE, {}), (WINDOWS, options)):
        command = ["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", "-DRBNN_BUILD_TESTS=ON"]
        run(*command, *(f"-D{name}={value}" for name, value in definitions.items()))
    run("cmake", "--build", NATIVE, "--target", PROGRAM)
    run("cmake", "--build", WINDOWS, "--target", PROGRAM, "rbnn_ops")


def fetch_onnxruntime(version: str, folder: Path) -> None:
    """Puts the libraries of ONNX Runtime's wheel for Windows into a folder."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--platform", "win_amd64", "--python-version", "3.11", "--dest", folder]
    run(*command, f"onnxruntime=={version}")
    (wheel,) = folder.glob(f"onnxruntime-{version}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith("onnxruntime/capi/") and name.endswith(".dll"):
                (folder / Path(name).name).write_bytes(archive.read(name))


def build_examples(zig: Path, folder: Path) -> None:
    """Builds both programs of examples/cpp; they need one function of ONNX Runtime's library."""
    sources = ROOT / "examples" / "cpp"
    definition, library = folder / "onnxruntime.def", folder / "libonnxruntime.a"
    definition.write_text("LIBRARY onnxruntime.dll\nEXPORTS\nOrtGetApiBase\n")
    run(zig, "dlltool", "-m", "i386:x86-64", "-d", definition, "-l", library)
    target = ["-target", TARGET, "-O2", "-Wall", "-Wextra", "-Werror", "-isystem", HEADERS]
    objects = [folder / f"{name}.o" for name in ("image", "json_list")]
    for path in objects:
        run(zig, "cc", *target, "-std=c99", "-c", sources / f"{path.stem}.c", "-o", path)
    run(zig, "cc", *target, sources / "classify.c", *objects, library, "-o", folder / "classify_c.exe")
    run(
        zig,
        "c++",
        "-std=c++17",
        *target,
        sources / "classify.cc",
        *objects,
        library,
        "-o",
        folder / "classify.exe",
    )


def main() -> None:
    """Builds everything; the argument is the version of ONNX Runtime."""
    import ziglang  # noqa: PLC0415 - which only the wheels' environment has

    zig = Path(ziglang.__file__).parent / "zig"
    os.chdir(ROOT)
    build_with_cmake(zig)
    fetch_onnxruntime(sys.argv[1], WINDOWS)
    build_examples(zig, WINDOWS)


if __name__ == "__main__":
    main()
