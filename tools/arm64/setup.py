"""Sets up an Arm64 Python with ONNX Runtime and the Arm64 wheel, which this machine runs through QEMU.

    python tools/arm64/setup.py dist/rbnn_deploy-0.1.0-py3-none-manylinux_2_28_aarch64.whl

Writes build/arm64/root (Debian's Python, made once), build/arm64/site (the wheel and its dependencies,
made anew where the wheel changed), and a folder for each processor, whose `python` runs on it:

    build/arm64/cortex-a72/python -m rbnn_deploy run model.onnx image.jpg

Needs Linux, root (debootstrap refuses to run without), and two packages of Debian or Ubuntu. Neither
binfmt_misc nor chroot is used. It shows that results are right on Arm, and nothing about Arm's speed.
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

# ONNX Runtime reads the cores' identity in /proc/cpuinfo and crashes on x86's. Part, variant, revision and
# features of two cores, by QEMU's names of the processors of a Raspberry Pi 3, 4 and 5.
CORE = """\
processor\t: {processor}
BogoMIPS\t: 108.00
Features\t: {features}
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x{variant}
CPU part\t: 0x{part}
CPU revision\t: {revision}

"""
V8 = "fp asimd evtstrm crc32 cpuid"
V82 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"
CPUS = {
    "cortex-a53": ("d03", 0, 4, V8),
    "cortex-a72": ("d08", 0, 3, V8),
    "cortex-a76": ("d0b", 4, 1, V82),
}

# It names itself as Python's sys.executable (-0), so that a process that Python starts is emulated too.
PYTHON = """\
#!/bin/sh
export QEMU_CPU={cpu} PYTHONHOME="{machine}/usr" PYTHONPATH="{site}${{PYTHONPATH:+:$PYTHONPATH}}"
export PYTHONSAFEPATH=1 PYTHONNOUSERSITE=1
exec qemu-aarch64-static -0 "{machine}/python" -L "{machine}" "{machine}/usr/bin/python{version}" "$@"
"""


def missing() -> str | None:
    """Names in a sentence the program that this machine lacks, or returns None."""
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
    work.rename(root)


def make_machine(cpu: str) -> None:
    """Makes the folder of one processor: the root, by links, its own /proc/cpuinfo, and its Python."""
    machine = FOLDER / cpu
    shutil.rmtree(machine, ignore_errors=True)
    (machine / "proc").mkdir(parents=True)
    for entry in (FOLDER / "root").iterdir():
        if entry.name != "proc":
            (machine / entry.name).symlink_to(Path("../root") / entry.name)
    part, variant, revision, features = CPUS[cpu]
    cores = [
        CORE.format(processor=core, features=features, variant=variant, part=part, revision=revision)
        for core in range(2)
    ]
    (machine / "proc/cpuinfo").write_text("".join(cores))
    python = machine / "python"
    python.write_text(PYTHON.format(cpu=cpu, machine=machine, site=FOLDER / "site", version=PYTHON_VERSION))
    python.chmod(0o755)


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


def emulated_python(cpu: str) -> Path:
    """Returns the program that runs the Arm64 Python on a processor of CPUS."""
    return FOLDER / cpu / "python"


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--optional", action="store_true", help="name a missing program without an error")
    arguments = parser.parse_args()
    reason = missing()
    if reason is not None:
        print(f"cannot emulate Arm64 here: {reason}", file=sys.stderr)
        sys.exit(0 if arguments.optional else 1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    if not (FOLDER / "root").is_dir():
        make_root(FOLDER / "root")
    make_site(FOLDER / "site", arguments.wheel)
    code = (
        "import onnxruntime, rbnn_deploy.runtimes.library as library; "
        "print(onnxruntime.__version__, library.library_info())"
    )
    for cpu in CPUS:
        make_machine(cpu)
        subprocess.run([emulated_python(cpu), "-c", code], check=True)


if __name__ == "__main__":
    main()
