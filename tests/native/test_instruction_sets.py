"""The installed library: only the files of an instruction set hold its instructions.

A function of a shared header that such a file compiles too could be the copy that the linker keeps for all
files, and would then run on processors that lack the instructions.
"""

import platform
import re
import shutil
import subprocess
from bisect import bisect_right
from pathlib import Path

import pytest
from support.paths import ROOT

from rbnn_deploy.runtimes.library import get_library_path

# AVX and later: mnemonics begin with a v, except those of mask registers. The baseline of x86-64 has none.
NEWER = re.compile(r"^(v(?!err|erw|mcall|mrun)|k[a-z]+[bwdq]\b)")


def run(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def code(path: Path, tmp_path: Path) -> bytes:
    section = tmp_path / "text"
    run("objcopy", "--output-target=binary", "--only-section=.text", path, section)
    return section.read_bytes()


def owners(path: Path) -> dict[int, tuple[str, str]]:
    """Source file and name of each function by its address; of what was global the file says nothing."""
    source, found = "", {}
    for line in run("readelf", "--symbols", "--wide", path).splitlines():
        fields = line.split()
        if len(fields) < 7 or not fields[0].endswith(":"):
            continue
        kind, name = fields[3], fields[7] if len(fields) > 7 else ""
        if kind == "FILE":
            source = name
        elif kind == "FUNC" and fields[6] != "UND":
            found[int(fields[1], 16)] = (source, name)
    return found


@pytest.mark.skipif(platform.machine() != "x86_64", reason="tests/wheels looks at the code for Arm64")
@pytest.mark.skipif(not all(map(shutil.which, ("objcopy", "objdump", "readelf"))), reason="no binutils")
def test_only_the_files_of_an_instruction_set_hold_its_instructions(tmp_path: Path) -> None:
    shipped = Path(get_library_path())
    # Installing strips the names; the build's library is the same code with them. Others may be for other
    # processors, which the header tells; this machine's objcopy does not read those.
    header = shipped.read_bytes()[:20]
    twins = [
        path
        for path in ROOT.glob("build/*/librbnn_ops.so")
        if path.read_bytes()[:20] == header and code(path, tmp_path) == code(shipped, tmp_path)
    ]
    if not twins:
        pytest.skip("the installed library was not built in this checkout")
    functions = owners(twins[0])
    addresses = sorted(functions)
    seen, wrong = set(), set()
    for line in run("objdump", "--disassemble", "--no-show-raw-insn", twins[0]).splitlines():
        match = re.match(r"^\s+([0-9a-f]+):\s+(\S+)", line)
        if match is None or not NEWER.match(match[2]):
            continue
        source, name = functions[addresses[bisect_right(addresses, int(match[1], 16)) - 1]]
        owner = source if source.startswith("x86_") else name
        (seen if owner.startswith("x86_") or "avx" in name else wrong).add(owner)
    assert not wrong
    assert {"x86_avx2.cc", "x86_avx512.cc", "x86_avx512_multiply.cc"} <= seen
