"""From a deployed .onnx file to a folder of C files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rbnn_deploy.errors import UserError
from rbnn_deploy.exporters.c import text
from rbnn_deploy.exporters.c.arena import Arena, plan_arena
from rbnn_deploy.exporters.c.program import ELEMENT_BYTES, Program
from rbnn_deploy.exporters.c.read_graph import read_program
from rbnn_deploy.exporters.c.selftest import Judge, record, selftest_c
from rbnn_deploy.model_files import read_model

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
    _check_folder(folder)
    file = read_model(model)
    program = read_program(file)
    floats, words = plan_arena(program, "float"), plan_arena(program, "uint32_t")
    files = {
        "model.h": text.model_h(program, file.metadata, file.path.name),
        "model.c": text.model_c(program, floats, words, file.metadata),
        "kernels.h": text.kernels_h(program),
        "weights.h": text.weights_h(program),
        "weights.c": text.weights_c(program),
        "selftest.c": selftest_c(record(program.input_shape, file.metadata, judge)),
        "Makefile": MAKEFILE,
    }
    _write_folder(folder, files)
    image = program.input.count * ELEMENT_BYTES if file.metadata is not None else 0
    arena = (floats.count + words.count) * ELEMENT_BYTES
    return CExport(folder, len(program.steps), arena, program.weight_bytes, image, program, floats, words)


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


FILES = ("model.h", "model.c", "kernels.h", "weights.h", "weights.c", "selftest.c", "Makefile", "selftest")


def _check_folder(folder: Path) -> None:
    """Checks that nothing is lost when the folder is replaced.

    Raises:
        UserError: It holds other files, or is no folder.
    """
    try:
        if not folder.exists() and not folder.is_symlink():
            return
        others = sorted(path.name for path in folder.iterdir() if path.name not in FILES)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror}; name a new folder") from None
    if others:
        raise UserError(f"{folder} holds other files ({others[0]}); name a new folder or an empty one")


def _write_folder(folder: Path, files: Mapping[str, str]) -> None:
    """Writes all files into a new folder, which then takes its place at once.

    Raises:
        UserError: The disk is full, or the place cannot be written to; the old folder is then as it was.
    """
    temporary: Path | None = None
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
        new, old = temporary / "new", temporary / "old"
        new.mkdir()
        for name, content in files.items():
            (new / name).write_text(content, encoding="ascii")
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
    except OSError as error:
        raise UserError(
            f"cannot write {folder}: {error.strerror or error}; choose a folder that you can write to"
        ) from None
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
