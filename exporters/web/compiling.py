"""Generated C as a WebAssembly module, by the C compiler that the package ziglang brings."""

from __future__ import annotations

import importlib.util
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from rbnn_deploy.errors import UserError

MODULE = Path(__file__).with_name("module.c")
# Browsers have 128-bit vectors since 2021 (Safari since 2023). Two roundings stay two, as everywhere.
FLAGS = (
    "-target",
    "wasm32-freestanding",
    "-std=c99",
    "-O3",
    "-msimd128",
    "-mbulk-memory",
    "-ffp-contract=off",
)
LINKING = ("-nostdlib", "-Wl,--no-entry", "-s")
# There is no C library; these two headers are all that generated C takes of one.
HEADERS = {
    "math.h": '#define NAN __builtin_nanf("")\n#define INFINITY __builtin_inff()\n',
    "string.h": "#define memcpy __builtin_memcpy\n",
}


def find_compiler() -> Path:
    """Returns the path of zig.

    Raises:
        UserError: The package ziglang is not installed.
    """
    found = importlib.util.find_spec("ziglang")
    if found is None or found.origin is None:
        raise UserError(
            "a web page needs the C compiler of the package ziglang, which is not installed; run: "
            "pip install 'rbnn-deploy[web]'"
        )
    return Path(found.origin).with_name("zig")


def compile_module(sources: Mapping[str, str], classes: int, compiler: Path) -> bytes:
    """Compiles a network.

    Args:
        sources: C text by file name.
        classes: How many names of classes the network has; 0 for none.
        compiler: The path of zig.

    Returns:
        The WebAssembly module, which imports nothing.

    Raises:
        UserError: The compiler failed, for example because its cache cannot be written to.
    """
    with tempfile.TemporaryDirectory(prefix="rbnn-deploy-") as name:
        folder = Path(name)
        for file, content in (HEADERS | dict(sources)).items():
            (folder / file).write_text(content, encoding="ascii")
        target = folder / "model.wasm"
        defined = ["-DMODEL_CLASSES"] if classes else []
        command = [compiler, "cc", *FLAGS, *LINKING, *defined, "-I", folder, "-o", target]
        command += [MODULE, *(folder / file for file in sources if file.endswith(".c"))]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
        if done.returncode != 0 or not target.is_file():
            said = (done.stderr.strip().splitlines() or ["no message"])[-1][:200]
            raise UserError(
                f"the C compiler of ziglang failed ({said}); report it as a bug, or install ziglang again"
            )
        return target.read_bytes()
