"""Sets up an Arm64 Python with ONNX Runtime and the Arm64 wheel, which this machine runs through QEMU.

    python tools/arm64/setup.py dist/rbnn_deploy-0.1.0-py3-none-manylinux_2_28_aarch64.whl

Writes build/arm64/root (Debian's Python, made once) and build/arm64/site (the wheel and what it depends on,
made anew where the wheel changed). Needs Linux, root (debootstrap refuses to run without), and two packages
of Debian or Ubuntu. Neither binfmt_misc nor chroot is used. It shows that results are right on Arm, and
nothing about Arm's speed.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "arm64"
SUITE, PYTHON_VERSION = "bookworm", "3.11"
TOOLS = {
    "qemu-aarch64-static": "qemu-user-static",
    "debootstrap": "debootstrap",
    "dpkg": "dpkg",
}
GLIBC_FLOORS = range(17, 37)  # manylinux_2_17 to manylinux_2_36, which is bookworm's

# ONNX Runtime reads the cores' identity here and crashes on x86's file. Two of a Cortex-A76: QEMU_CPU decides
# what can be executed.
CORE = """\
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x4
CPU part\t: 0xd0b
CPU revision\t: 1

"""
CPUINFO = "".join(f"processor\t: {core}\n{CORE}" for core in range(2))


def missing() -> str | None:
    """Says in a sentence what this machine lacks, or returns None."""
    packages = sorted({package for tool, package in TOOLS.items() if shutil.which(tool) is None})
    if packages:
        return f"needs {', '.join(packages)}; run: apt-get install {' '.join(packages)}"
    if not (FOLDER / "root").is_dir() and os.geteuid() != 0:
        return "needs root once, for debootstrap; run it as root"
    return None


def make_root(root: Path) -> None:
    """Unpacks a minimal Arm64 Debian with Python; without running any of its scripts."""
    work = root.with_name("root.part")
    shutil.rmtree(work, ignore_errors=True)
    packages = "--include=python3,libstdc++6,libgomp1"
    command = ["debootstrap", "--foreign", "--arch=arm64", "--variant=minbase", packages, SUITE, str(work)]
    subprocess.run(command + mirror(), check=True, stdout=subprocess.DEVNULL)
    for archive in sorted((work / "var/cache/apt/archives").glob("*.deb")):
        subprocess.run(["dpkg", "-x", str(archive), str(work)], check=True)
        archive.unlink()
    (work / "proc").mkdir(exist_ok=True)
    (work / "proc/cpuinfo").write_text(CPUINFO)
    work.rename(root)


def mirror() -> list[str]:
    """Returns the mirror that this machine's apt takes the suite from, if it is set up with one."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)"]
    command += ["Created-By: Packages", f"Codename: {SUITE}"]
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    return found[:1]


def make_site(site: Path, wheel: Path) -> None:
    """Installs the Arm64 wheel and its dependencies into a folder, at the versions of constraints.txt."""
    stamp, digest = site / ".wheel", hashlib.sha256(wheel.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == digest:
        return
    shutil.rmtree(site, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(site)]
    command += ["--only-binary=:all:", "--python-version", PYTHON_VERSION, "--implementation", "cp"]
    for floor in reversed(GLIBC_FLOORS):
        command += ["--platform", f"manylinux_2_{floor}_aarch64"]
    command += ["--platform", "manylinux2014_aarch64", "-c", str(ROOT / "constraints.txt"), str(wheel)]
    subprocess.run(command, check=True)
    stamp.write_text(digest)


def emulated(*arguments: str | Path, cpu: str = "cortex-a76", **environment: str) -> list[str]:
    """Returns the command that runs the Arm64 Python.

    Args:
        *arguments: Of Python.
        cpu: The processor, as QEMU calls it.
        **environment: Variables that it sees besides this process's.
    """
    variables = {
        "QEMU_CPU": cpu,
        "PYTHONPATH": str(FOLDER / "site"),
        "PYTHONSAFEPATH": "1",  # not this checkout's packages, which the current folder may hold
        "PYTHONNOUSERSITE": "1",
    } | environment
    root = FOLDER / "root"
    python = ["qemu-aarch64-static", "-L", str(root), str(root / f"usr/bin/python{PYTHON_VERSION}")]
    return ["env", *(f"{name}={value}" for name, value in variables.items()), *python, *map(str, arguments)]


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--optional", action="store_true", help="what is missing is said, and is no error")
    arguments = parser.parse_args()
    reason = missing()
    if reason is not None:
        print(f"cannot emulate Arm64 here: {reason}", file=sys.stderr)
        sys.exit(0 if arguments.optional else 1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    if not (FOLDER / "root").is_dir():
        make_root(FOLDER / "root")
    make_site(FOLDER / "site", arguments.wheel)
    code = "import onnxruntime, runtimes.library as l; print(onnxruntime.__version__, l.library_info())"
    subprocess.run(emulated("-c", code), check=True)


if __name__ == "__main__":
    main()
