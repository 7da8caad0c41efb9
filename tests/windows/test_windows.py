"""The operator library for Windows, run by Wine: the bits of Linux.

In the C++ tests, and in ONNX Runtime for Windows; `make test-windows` builds what runs here.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.paths import ROOT

from rbnn_deploy import load_model
from rbnn_deploy.data.image_file import load_image
from rbnn_deploy.data.preprocessing import preprocessing_of
from rbnn_deploy.models import EMBEDDED_MODEL

NATIVE, WINDOWS = ROOT / "build" / "tests", ROOT / "build" / "windows"
KERNEL_TESTS = Path("tests", "native", "rbnn_kernel_tests")
LIBRARY = WINDOWS / "rbnn_ops.dll"

pytestmark = [
    pytest.mark.skipif(os.environ.get("RBNN_TEST_WINDOWS") != "1", reason="runs by make test-windows"),
    pytest.mark.skipif(shutil.which("wine") is None, reason="needs Wine; run: apt-get install wine64"),
]


def run(program: Path, *arguments: object) -> str:
    """Runs a program of either system; returns its output."""
    wine = ["wine"] if program.suffix == ".exe" else []
    done = subprocess.run(
        [*wine, program, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env=os.environ | {"WINEDEBUG": "-all"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_kernels_give_the_bits_of_linux() -> None:
    outputs = [run(NATIVE / KERNEL_TESTS), run(WINDOWS / KERNEL_TESTS.with_suffix(".exe"))]
    found = [re.findall(r"^(?:digest|kernel) .*$", output, re.MULTILINE) for output in outputs]
    assert any(line.startswith("digest ") for line in found[0])
    assert found[1] == found[0]
    assert all("0 failures" in output.splitlines() for output in outputs)


@pytest.mark.parametrize("isa", ["avx2", "portable"])
@pytest.mark.parametrize("program", ["classify.exe", "classify_c.exe"])
def test_logits_of_onnx_runtime_for_windows(
    program: str, isa: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    image = tmp_path / "x.ppm"
    Image.fromarray(pixels).save(image)
    runtime = load_model(EMBEDDED_MODEL, threads=1)
    expected = runtime.run(preprocessing_of(runtime.metadata)(load_image(image))[None])[0]
    monkeypatch.setenv("RBNN_KERNEL", isa)
    lines = run(WINDOWS / program, EMBEDDED_MODEL, LIBRARY, image, 1000).splitlines()
    numbers = [int(line.split()[0]) for line in lines]
    assert sorted(numbers) == list(range(10))
    # Nine digits tell every float32 from every other. The float layers are ONNX Runtime's, whose kernels are
    # the same on both systems.
    assert [np.float32(line.split()[1]) for line in lines] == list(expected[numbers])


def test_exports() -> None:
    if shutil.which("objdump") is None:
        pytest.skip("needs objdump")
    done = subprocess.run(["objdump", "-p", LIBRARY], capture_output=True, text=True, check=True)
    table = done.stdout.partition("[Ordinal/Name Pointer] Table")[2].partition("\n\n")[0]
    names = re.findall(r"\]\s+(?:\+base\[\s*\d+\]\s+\S+\s+)?(\w+)$", table, re.MULTILINE)
    assert names == ["RegisterCustomOps", "rbnn_library_info", "rbnn_popcount_peak"]
    # Windows' own libraries alone: no runtime of a compiler has to be beside it.
    needed = set(re.findall(r"DLL Name: (\S+)", done.stdout))
    assert needed
    assert all(name == "KERNEL32.dll" or name.startswith("api-ms-win-crt-") for name in needed)
