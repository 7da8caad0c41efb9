"""The description of the machine, from trees that look like the /proc and /sys of some."""

import dataclasses
import threading
from pathlib import Path

import pytest

from rbnn_deploy.benchmarking import host, processor
from rbnn_deploy.benchmarking.host import Host, State

CORE = "processor\t: 0\nFeatures\t: {features}\nCPU implementer\t: 0x41\nCPU part\t: {part}\n\n"
PI_4 = 4 * CORE.format(features="fp asimd evtstrm crc32 cpuid", part="0xd08")
PI_5 = 4 * CORE.format(features="fp asimd asimdhp asimdrdm asimddp", part="0xd0b")
X86 = "processor\t: 0\nmodel name\t: Some Processor @ 2GHz\nflags\t\t: fpu avx2\n"
CPU = "sys/devices/system/cpu"
FIRMWARE = "sys/devices/platform/soc/soc:firmware/get_throttled"

QUIET = State(load=0.1, megahertz=2400.0, celsius=50.0, throttled=0)
GOOD = Host(
    processor="4 x Cortex-A76",
    architecture="aarch64",
    cores=4,
    memory_mb=8e3,
    kernel="neon",
    emulated=False,
    cpu_features=("neon",),
    governor="performance",
    full_megahertz=2400.0,
    lowest_megahertz=2400.0,
    before=QUIET,
    after=QUIET,
    versions={},
    warnings=(),
)


class Machine:
    """Files of /proc and /sys under a folder of the test."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, files: dict[str, str | bytes]) -> None:
        for name, content in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(processor, "ROOT", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))  # no vcgencmd
    return Machine(tmp_path)


def register(midr: int) -> str:
    return f"0x{midr:016x}\n"


@pytest.mark.parametrize(
    ("files", "name"),
    [
        (
            {"proc/cpuinfo": PI_4 + "Model\t\t: Raspberry Pi 4 Model B Rev 1.4\n"},
            "4 x Cortex-A72 (Raspberry Pi 4 Model B Rev 1.4)",
        ),
        (
            {"proc/cpuinfo": PI_5, "proc/device-tree/model": b"Raspberry Pi 5 Model B Rev 1.0\0"},
            "4 x Cortex-A76 (Raspberry Pi 5 Model B Rev 1.0)",
        ),
        # Two kinds of core, of which /proc/cpuinfo lists those that are awake.
        (
            {
                "proc/cpuinfo": CORE.format(features="asimd", part="0xd05"),
                f"{CPU}/cpu0/regs/identification/midr_el1": register(0x411FD050),
                f"{CPU}/cpu1/regs/identification/midr_el1": register(0x411FD050),
                f"{CPU}/cpu2/regs/identification/midr_el1": register(0x414FD0B1),
            },
            "2 x Cortex-A55 + 1 x Cortex-A76",
        ),
        (
            {"proc/cpuinfo": "CPU implementer : 0x61\nCPU part : 0x022\n"},
            "1 x Arm core 0x022 of implementer 0x61",
        ),
        ({"proc/cpuinfo": "CPU implementer : ?\nCPU part : ?\nHardware : BCM2835\n"}, "BCM2835"),
        ({"proc/cpuinfo": X86}, "Some Processor @ 2GHz"),
    ],
)
def test_processor_name(machine: Machine, files: dict[str, str | bytes], name: str) -> None:
    machine.write(files)
    assert processor.processor_name() == name


def test_a_machine_that_tells_nothing(machine: Machine) -> None:
    assert processor.processor_name()
    assert processor.arm_features() == ()
    assert not processor.is_emulated("aarch64")
    state = host.read_state()
    assert (state.megahertz, state.celsius, state.throttled) == (None, None, None)


def test_features_are_those_of_every_core(machine: Machine) -> None:
    machine.write({"proc/cpuinfo": PI_5})
    assert processor.arm_features() == ("asimd", "asimdhp", "asimddp")
    machine.write({"proc/cpuinfo": PI_5 + PI_4})
    assert processor.arm_features() == ("asimd",)
    machine.write({"proc/cpuinfo": X86})
    assert processor.arm_features() == ()


@pytest.mark.parametrize(
    ("elf_machine", "uname", "emulated"),
    [
        (62, "aarch64", True),  # an x86-64 QEMU
        (183, "x86_64", True),
        (62, "x86_64", False),
        (183, "aarch64", False),
        (40, "aarch64", False),  # 32-bit programs on a 64-bit kernel
        (3, "x86_64", False),
        (243, "riscv64", False),  # unknown here
    ],
)
def test_an_emulator_runs_as_another_family(
    machine: Machine, elf_machine: int, uname: str, emulated: bool
) -> None:
    header = b"\x7fELF" + bytes(14) + elf_machine.to_bytes(2, "little")
    machine.write({f"proc/self/task/{threading.get_native_id()}/exe": header})
    assert processor.is_emulated(uname) == emulated


def test_this_machine_is_described() -> None:
    state = host.read_state()
    assert state.load is None or state.load >= 0
    assert state.celsius is None or -50 < state.celsius < 150
    assert processor.processor_name()


def test_state_is_that_of_the_fastest_core_and_the_hottest_sensor(machine: Machine) -> None:
    machine.write(
        {
            f"{CPU}/cpu0/cpufreq/scaling_cur_freq": "600000\n",
            f"{CPU}/cpu1/cpufreq/scaling_cur_freq": "1800000\n",
            "sys/class/thermal/thermal_zone0/temp": "-1000\n",
            "sys/class/thermal/thermal_zone1/temp": "61300\n",
            "sys/class/thermal/thermal_zone2/temp": "broken\n",
            FIRMWARE: "50005\n",
        }
    )
    state = host.read_state()
    assert (state.megahertz, state.celsius, state.throttled) == (1800.0, 61.3, 0x50005)


def test_the_firmware_is_asked_by_its_tool_too(machine: Machine) -> None:
    machine.write({"vcgencmd": "#!/bin/sh\necho throttled=0x50000\n"})
    (machine.root / "vcgencmd").chmod(0o755)
    assert host.read_state().throttled == 0x50000
    machine.write({"vcgencmd": "#!/bin/sh\necho VCHI initialization failed\n"})
    assert host.read_state().throttled is None


def test_description_of_an_arm_board(machine: Machine) -> None:
    machine.write(
        {"proc/cpuinfo": PI_5}
        | {f"{CPU}/cpu{i}/cpufreq/scaling_governor": "ondemand\n" for i in range(2)}
        | {f"{CPU}/cpu{i}/cpufreq/scaling_governor": "performance\n" for i in (2, 3)}
        | {f"{CPU}/cpu{i}/cpufreq/cpuinfo_max_freq": f"{1800 + 600 * (i > 1)}000\n" for i in range(4)}
    )
    found = host.describe_host(QUIET, QUIET, 1, [2400.0, 2300.0, None])
    assert found.processor == "4 x Cortex-A76"
    assert set(found.cpu_features) >= {"asimd", "asimdhp", "asimddp"}
    assert found.governor == "ondemand + performance"
    assert (found.full_megahertz, found.lowest_megahertz) == (2400.0, 2300.0)


def test_nothing_is_doubtful_on_a_good_machine_or_one_that_tells_nothing() -> None:
    assert host.find_doubts(GOOD, 4) == []
    unknown = State(None, None, None, None)
    silent = dataclasses.replace(
        GOOD, governor=None, full_megahertz=None, lowest_megahertz=None, before=unknown, after=unknown
    )
    assert host.find_doubts(silent, 4) == []


@pytest.mark.parametrize(
    ("change", "threads", "words"),
    [
        ({"emulated": True}, 4, ["emulated", "times mean nothing"]),
        ({"before": dataclasses.replace(QUIET, load=3.0)}, 4, ["load 3.0 on 4 cores"]),
        ({}, 8, ["8 threads shared 4 cores"]),
        ({"governor": "performance + powersave"}, 4, ["governor powersave"]),
        ({"after": dataclasses.replace(QUIET, celsius=84.2)}, 4, ["84 degrees"]),
        ({"lowest_megahertz": 1500.0}, 4, ["fell to 1500 of 2400 MHz", "governor"]),
        ({"kernel": "portable"}, 4, ["portable kernel"]),
    ],
)
def test_a_doubt_says_what_to_do(change: dict[str, object], threads: int, words: list[str]) -> None:
    (doubt,) = host.find_doubts(dataclasses.replace(GOOD, **change), threads)
    assert all(word in doubt for word in words), doubt


def test_a_turbo_that_no_core_holds_is_no_doubt() -> None:
    x86 = dataclasses.replace(GOOD, architecture="x86_64", lowest_megahertz=1500.0)
    assert host.find_doubts(x86, 4) == []


def test_a_32_bit_system_is_doubtful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host.struct, "calcsize", lambda _: 4)
    (doubt,) = host.find_doubts(GOOD, 4)
    assert "64-bit system" in doubt


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (0x0, 0x0, []),
        (None, None, []),
        (0x50000, 0x50000, [("voltage", "throttling", "before")]),
        (0x0, 0x50000, [("voltage", "throttling", "during")]),  # it came and went
        (0x0, 0x20002, [("capped", "during")]),
        (0x10000, 0x50004, [("throttling", "during"), ("voltage", "before")]),
    ],
)
def test_what_the_firmware_did_and_when(
    before: int | None, after: int | None, expected: list[tuple[str, ...]]
) -> None:
    changed = dataclasses.replace(
        GOOD,
        before=dataclasses.replace(QUIET, throttled=before),
        after=dataclasses.replace(QUIET, throttled=after),
    )
    doubts = host.find_doubts(changed, 4)
    assert len(doubts) == len(expected)
    for doubt, words in zip(doubts, expected, strict=True):
        assert all(word in doubt for word in words), doubt
