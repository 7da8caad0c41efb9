"""From a deployed .onnx file to a folder of C files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rbnn_deploy.exporters.c import text
from rbnn_deploy.exporters.c.arena import Arena, plan_arena
from rbnn_deploy.exporters.c.program import ELEMENT_BYTES, Program
from rbnn_deploy.exporters.c.read_graph import read_program
from rbnn_deploy.exporters.c.selftest import Judge, record, selftest_c
from rbnn_deploy.folders import check_replaceable, replace_folder
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.model_files import read_model

FILES = ("model.h", "model.c", "kernels.h", "weights.h", "weights.c", "selftest.c", "Makefile", "selftest")

MAKEFILE = """\
# `make check` builds the self-test for this computer and runs it.
CC ?= cc
CFLAGS ?= -O3
STRICT = -std=c99 -Wall -Wextra -Wpedantic -Wconversion -ffp-contract=off

check: selftest
\t./selftest

selftest: selftest.c model.c weights.c model.h kernels.h weights.h
\t$(CC) $(CFLAGS) $(STRICT) -o $@ selftest.c model.c weights.c

clean:
\trm -f selftest

.PHONY: check clean
"""


@dataclass(frozen=True)
class CExport:
    """What was written.

    Attributes:
        folder: Where.
        layers: Calls of model_run.
        arena_bytes: Static memory of all layers.
        weight_bytes: Constant arrays.
        image_bytes: Further static memory of the image entry, if it is used.
        program, floats, words: The plan itself.
    """

    folder: Path
    layers: int
    arena_bytes: int
    weight_bytes: int
    image_bytes: int
    program: Program
    floats: Arena
    words: Arena


def export_c(model: str | Path, folder: str | Path, judge: Judge) -> CExport:
    """Writes a deployed model as standalone C99.

    Args:
        model: The .onnx file.
        folder: To make; one that holds an earlier export, or nothing, is replaced.
        judge: Computes the outputs that the self-test expects.

    Raises:
        UserError: The model cannot be read or has a node that has no C code, or the folder cannot be written.
    """
    folder = Path(folder)
    check_replaceable(folder, FILES)
    network = generate(model)
    shape = network.program.input_shape
    files = network.files | {
        "selftest.c": selftest_c(record(shape, network.metadata, judge)),
        "Makefile": MAKEFILE,
    }
    replace_folder(folder, {name: content.encode("ascii") for name, content in files.items()})
    floats, words = network.floats, network.words
    image = network.program.input.count * ELEMENT_BYTES if network.metadata is not None else 0
    arena = (floats.count + words.count) * ELEMENT_BYTES
    weights = network.program.weight_bytes
    return CExport(folder, len(network.program.steps), arena, weights, image, network.program, floats, words)


@dataclass(frozen=True)
class GeneratedNetwork:
    """A network as C text, before anything is written.

    Attributes:
        files: Text by file name: the network, its functions and its constants.
        metadata: What the model says of itself; None where it says nothing.
        program, floats, words: The plan.
    """

    files: dict[str, str]
    metadata: ModelMetadata | None
    program: Program
    floats: Arena
    words: Arena


def generate(model: str | Path, *, vectors: bool = False) -> GeneratedNetwork:
    """Makes the C text of a deployed model.

    Args:
        model: The .onnx file.
        vectors: For WebAssembly with 128-bit SIMD alone.

    Raises:
        UserError: The model cannot be read or has a node that has no C code.
    """
    file = read_model(model)
    program = read_program(file, vectors=vectors)
    floats, words = plan_arena(program, "float"), plan_arena(program, "uint32_t")
    files = {
        "model.h": text.model_h(program, file.metadata, file.path.name),
        "model.c": text.model_c(program, floats, words, file.metadata),
        "kernels.h": text.kernels_h(program),
        "weights.h": text.weights_h(program),
        "weights.c": text.weights_c(program),
    }
    return GeneratedNetwork(files, file.metadata, program, floats, words)


@dataclass(frozen=True)
class MemoryPlan:
    """What an export would take on the device.

    Attributes:
        arena_bytes: Static memory of all layers.
        weight_bytes: Constant arrays.
    """

    arena_bytes: int
    weight_bytes: int


def plan_memory(model: str | Path) -> MemoryPlan:
    """Plans an export and writes nothing.

    Raises:
        UserError: The model cannot be read or has a node that has no C code.
    """
    program = read_program(read_model(model))
    count = sum(plan_arena(program, element).count for element in ("float", "uint32_t"))
    return MemoryPlan(count * ELEMENT_BYTES, program.weight_bytes)
