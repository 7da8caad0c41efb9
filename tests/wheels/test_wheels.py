"""What `make wheels` builds: tags, contents, the oldest C library that a wheel runs with, its exports.

Looks at the wheels in dist/, or in the folder that RBNN_WHEELS names.
"""

import io
import os
import re
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

elffile = pytest.importorskip(
    "elftools.elf.elffile", reason="needs tools/wheels/requirements.txt: make wheels"
)
from elftools.elf.dynamic import DynamicSection  # noqa: E402 - after the check that it is there
from elftools.elf.gnuversions import GNUVerNeedSection  # noqa: E402
from packaging.requirements import Requirement  # noqa: E402

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("RBNN_WHEELS", ROOT / "dist"))
# Machine, and the C library that the tag promises is enough.
PLATFORMS = {
    "manylinux_2_17_x86_64": ("EM_X86_64", (2, 17)),
    "manylinux_2_28_aarch64": ("EM_AARCH64", (2, 28)),
}
LIBRARY = "rbnn_deploy/runtimes/librbnn_ops.so"
SYSTEM = {"libc.so.6", "libpthread.so.0", "libdl.so.2", "libm.so.6"}


@pytest.fixture(params=PLATFORMS)
def platform(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def wheel(platform: str) -> zipfile.ZipFile:
    found = sorted(FOLDER.glob(f"rbnn_deploy-*-py3-none-{platform}.whl"))
    if not found:
        pytest.skip(f"no wheel of {platform} in {FOLDER.name}/; run make wheels")
    return zipfile.ZipFile(found[-1])


@pytest.fixture
def library(wheel: zipfile.ZipFile) -> elffile.ELFFile:
    return elffile.ELFFile(io.BytesIO(wheel.read(LIBRARY)))


def metadata(wheel: zipfile.ZipFile, name: str) -> Message:
    (path,) = [path for path in wheel.namelist() if path.endswith(f".dist-info/{name}")]
    return message_from_bytes(wheel.read(path))


def test_one_tag_for_every_python_of_the_platform(wheel: zipfile.ZipFile, platform: str) -> None:
    assert metadata(wheel, "WHEEL").get_all("Tag") == [f"py3-none-{platform}"]
    assert metadata(wheel, "WHEEL")["Root-Is-Purelib"] == "false"


def test_holds_the_packages_and_one_library(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"rbnn_deploy"}
    assert [name for name in names if re.search(r"\.so\b", name)] == [LIBRARY]
    assert not [name for name in names if name.endswith((".cc", ".h", ".inc"))]
    assert "rbnn_deploy/runtimes/onnx_runtime.py" in names
    assert "rbnn_deploy/exporters/onnx/export.py" in names


def test_needs_no_torch(wheel: zipfile.ZipFile) -> None:
    requirements = [Requirement(text) for text in metadata(wheel, "METADATA").get_all("Requires-Dist")]
    needed = {r.name for r in requirements if r.marker is None or r.marker.evaluate({"extra": ""})}
    assert "onnxruntime" in needed
    assert not needed & {"torch", "onnxscript", "onnxsim", "scikit-learn", "matplotlib"}


def test_machine(library: elffile.ELFFile, platform: str) -> None:
    assert library.header.e_machine == PLATFORMS[platform][0]


def test_runs_with_the_c_library_that_the_tag_promises(library: elffile.ELFFile, platform: str) -> None:
    versions = {
        tuple(int(part) for part in auxiliary.name.removeprefix("GLIBC_").split("."))
        for section in library.iter_sections()
        if isinstance(section, GNUVerNeedSection)
        for _, auxiliaries in section.iter_versions()
        for auxiliary in auxiliaries
        if auxiliary.name.startswith("GLIBC_")
    }
    assert versions
    assert max(versions) <= PLATFORMS[platform][1]


def test_needs_only_the_c_library(library: elffile.ELFFile) -> None:
    (dynamic,) = [section for section in library.iter_sections() if isinstance(section, DynamicSection)]
    needed = {tag.needed for tag in dynamic.iter_tags("DT_NEEDED")}
    assert {name for name in needed if not name.startswith("ld-linux")} <= SYSTEM


def test_exports(library: elffile.ELFFile) -> None:
    symbols = library.get_section_by_name(".dynsym").iter_symbols()
    exported = sorted(s.name for s in symbols if s.entry.st_shndx != "SHN_UNDEF" and s.name)
    assert exported == ["RegisterCustomOps", "rbnn_library_info", "rbnn_popcount_peak"]


def test_files_of_an_instruction_set_share_no_function(platform: str) -> None:
    # tests/native/test_instruction_sets.py says why, and looks at the code of the installed library. A
    # wheel's library holds no names; these are the objects that it was linked from.
    # Arm's other kernels use the base architecture alone.
    files, own = ("x86_*.o", "avx") if "x86_64" in platform else ("arm_neon_*dotprod*.o", "dotprod")
    build = ROOT / f"build/wheel-linux-{platform.split('_', 3)[3]}"
    objects = sorted(build.glob(f"CMakeFiles/rbnn_kernels.dir/**/{files}"))
    if not objects:
        pytest.skip(f"no such objects in {build.name}")
    for path in objects:
        symbols = elffile.ELFFile(io.BytesIO(path.read_bytes())).get_section_by_name(".symtab").iter_symbols()
        shared = [
            s.name
            for s in symbols
            if s.entry.st_info.type == "STT_FUNC"
            and s.entry.st_info.bind != "STB_LOCAL"
            and s.entry.st_shndx != "SHN_UNDEF"
        ]
        assert [name for name in shared if own not in name] == [], path.name


def test_stays_loaded(library: elffile.ELFFile) -> None:
    # Without it a process crashed at its exit; tools/wheels/zig.cmake says why.
    (dynamic,) = [section for section in library.iter_sections() if isinstance(section, DynamicSection)]
    (flags,) = [tag.entry.d_val for tag in dynamic.iter_tags("DT_FLAGS_1")]
    assert flags & 0x8  # DF_1_NODELETE
