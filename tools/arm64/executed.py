"""What an Arm64 program executes between two of its functions, and how long models of cores take for that.

QEMU logs each block of instructions that it executes. LLVM's disassembler gives their text, and llvm-mca runs
them on its models: it knows no cache misses and predicts every branch, so its cycles compare inner work and
not memory.

A layer executes millions of instructions, nearly all of them in the same few sequences. So the stream is cut
where rare blocks begin, such as the heads of outer loops; each distinct piece is modelled once, in its steady
state (several times in a row, less the first), and counts as often as it occurs.
"""

import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

EMULATOR = "qemu-aarch64-static"
# The pieces have at least so many instructions, and a block may begin one if it begins as few.
PIECE, RARE = 400, 1000
REPEATS = 4
# Which units of its models LLVM means by the pipes of vectors and of loads.
VECTOR_UNITS = re.compile(r"A53UnitFPALU|A57Unit[WX]|N1UnitV[01]|V1UnitV[0-3]|CortexA55UnitFPALU")
LOAD_UNITS = re.compile(r"A53UnitLdSt|A57UnitL|N1UnitL|V1UnitL(01|2)|CortexA55UnitLd")
BRANCH = re.compile(r"(b|bl|b\.\w+|cbn?z|tbn?z|adrp?)\s")

Block = tuple[int, int]  # address of its first instruction, number of instructions


def newest(tool: str) -> str | None:
    """Returns the newest version of an LLVM tool that this machine has, if it has one."""
    names = [f"{tool}-{version}" for version in range(30, 13, -1)] + [tool]
    return next((name for name in names if shutil.which(name)), None)


@dataclass
class Cost:
    """Cycles of a model, and for how many the pipes of vectors and of loads are busy, spread evenly."""

    cycles: float = 0
    vector: float = 0
    load: float = 0

    def add(self, other: "Cost", times: int) -> None:
        """Adds `times` times another one."""
        self.cycles += other.cycles * times
        self.vector += other.vector * times
        self.load += other.load * times


@dataclass
class Program:
    """A static Arm64 program: the text of its instructions, and in which function each is."""

    path: Path
    text: dict[int, str] = field(default_factory=dict)
    function: dict[int, str] = field(default_factory=dict)
    start: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Disassembles the program."""
        tool = newest("llvm-objdump")
        if tool is None:
            sys.exit("needs llvm-objdump; run: apt-get install llvm")
        command = [tool, "-d", "-C", "--no-show-raw-insn", "--mattr=+all", str(self.path)]
        name = ""
        for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
            if header := re.match(r"^([0-9a-f]+) <(.*)>:$", line):
                name = header[2]
                self.start[name] = int(header[1], 16)
            elif instruction := re.match(r"^\s*([0-9a-f]+):\s+(\S.*)$", line):
                address = int(instruction[1], 16)
                text = re.sub(r"\s*(//.*|<.*>)$", "", instruction[2])
                if BRANCH.match(text):  # where to is of no interest, and no label of a piece
                    text = re.sub(r"0x[0-9a-f]+$", "1f", text)
                self.text[address] = text
                self.function[address] = name

    def piece(self, blocks: tuple[Block, ...]) -> str:
        """Returns the assembly of some blocks, one after the other."""
        addresses = (address + 4 * i for address, count in blocks for i in range(count))
        return "\n".join(self.text[address] for address in addresses) + "\n1:\n"


def log_of(program: Program, arguments: list[str], begin: str, end: str) -> list[Block]:
    """Runs the program, and returns the blocks that it executes between its functions `begin` and `end`."""
    command = [EMULATOR, "-cpu", "max", "-d", "nochain,exec,in_asm", "-D", "/dev/stderr"]
    command += [str(program.path), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    length: dict[int, int] = {}  # of each block, by its address
    block, inside = None, False
    blocks: list[Block] = []
    for line in process.stderr:
        if line.startswith("Trace"):
            address = int(line.split("/")[1], 16)
            if address == program.start[begin]:
                inside = True
            elif address == program.start[end]:
                inside = False
            elif inside:
                blocks.append((address, length[address]))
        elif line.startswith("IN:"):
            block = None
        elif line.startswith("0x"):
            if block is None:
                block = int(line[: line.index(":")], 16)
                length[block] = 0
            length[block] += 1
    if process.wait() != 0:
        sys.exit(f"{program.path} failed under QEMU")
    return blocks


def by_function(program: Program, blocks: list[Block]) -> Counter[str]:
    """Counts the instructions that each function executes."""
    counts: Counter[str] = Counter()
    for (address, count), times in Counter(blocks).items():
        counts[program.function[address]] += count * times
    return counts


def pieces(blocks: list[Block]) -> Iterator[tuple[Block, ...]]:
    """Cuts a stream where rare blocks begin, so that what repeats gives equal pieces."""
    occurrences = Counter(address for address, _ in blocks)
    total = sum(count for _, count in blocks)
    piece: list[Block] = []
    length = 0
    for block in blocks:
        if (length >= PIECE and occurrences[block[0]] * RARE <= total) or length > 20 * RARE:
            yield tuple(piece)
            piece, length = [], 0
        piece.append(block)
        length += block[1]
    if piece:
        yield tuple(piece)


def model(assembly: str, core: str, repeats: int) -> Cost:
    """Runs some assembly on the model of a core."""
    tool = newest("llvm-mca")
    assert tool is not None
    command = [tool, "-mtriple=aarch64", f"-mcpu={core}", "-mattr=+v8.2a,+dotprod,+i8mm"]
    command += [f"-iterations={repeats}", "-instruction-info=false"]
    result = subprocess.run(command, input=assembly, capture_output=True, text=True, check=False)
    found = re.search(r"Total Cycles:\s+(\d+)", result.stdout)
    if found is None:
        sys.exit(f"{tool} failed: {result.stderr}")
    names = dict(re.findall(r"^\[([\d.]+)\]\s+- (\S+)$", result.stdout, re.MULTILINE))
    _, _, table = result.stdout.partition("Resource pressure per iteration:\n")
    heads, values = (line.split() for line in table.splitlines()[:2])
    pressure = [
        (names[head.strip("[]")], 0.0 if value == "-" else float(value))
        for head, value in zip(heads, values, strict=True)
    ]
    vector = [taken for unit, taken in pressure if VECTOR_UNITS.fullmatch(unit)]
    load = [taken for unit, taken in pressure if LOAD_UNITS.fullmatch(unit)]
    return Cost(int(found[1]), fmean(vector), fmean(load))


def modelled(program: Program, blocks: list[Block], cores: list[str]) -> dict[str, Cost]:
    """Returns the cost of a stream on the models of some cores."""
    costs = {core: Cost() for core in cores}
    for piece, times in Counter(pieces(blocks)).items():
        assembly = program.piece(piece)
        for core in cores:
            once, often = model(assembly, core, 1), model(assembly, core, REPEATS)
            often.cycles = (often.cycles - once.cycles) / (REPEATS - 1)
            costs[core].add(often, times)
    return costs
