"""Tries commands on damaged files, in a process of its own with little memory.

usage: python -m support.try_commands KIND FIRST_SEED COUNT FOLDER

FOLDER holds the intact files (`write_intact`). Prints one JSON line per command: its seed, when it begins,
and then its exit code, what it printed and the files that it left; at the end the peak of memory in bytes.
"""

import contextlib
import gzip
import io
import json
import random
import resource
import sys
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from support.damage import damaged
from support.mutants import mutant
from support.small_models import write_small_model

from rbnn_deploy.benchmarking.memory import peak_kilobytes
from rbnn_deploy.cli import main as command_line

MEMORY = 6 << 30  # of address space: a command must not ask for more
MODEL, IMAGE, ARCHIVE, CHECKPOINT = "model.onnx", "image.jpg", "images.tar.gz", "checkpoint.pt"
COMMANDS = {
    MODEL: (
        ["inspect", "{file}", "--json", "{out}"],
        ["inspect", "{file}", "--device", "cortex-m4,x86-64"],
        ["run", "{file}", "intact.png", "--runtime", "ort"],
        ["run", "{file}", "intact.png", "--runtime", "ort-portable"],
        ["run", "{file}", "intact.png", "--runtime", "numpy", "--json", "{out}"],
        ["compare", "{file}", "--random", "1", "--runtimes", "ort,numpy", "--json", "{out}"],
        ["export", "{file}", "--format", "c", "-o", "{out}"],
    ),
    IMAGE: (["run", "intact.onnx", "{file}", "--json", "{out}"],),
    ARCHIVE: (
        ["eval", "intact.onnx", "--data", "{file}", "--json", "{out}"],
        ["compare", "intact.onnx", "--data", "{file}", "--runtimes", "ort,numpy", "--json", "{out}"],
    ),
    CHECKPOINT: (["export", "{file}", "-o", "{out}"], ["inspect", "{file}", "--json", "{out}"]),
}


def write_intact(folder: Path) -> None:
    """Writes models and images, to be damaged and to stay intact; the caller adds checkpoint and archive."""
    write_small_model(folder, "intact.onnx")
    write_small_model(folder, MODEL)
    rng = np.random.default_rng(0)
    for name in ("intact.png", IMAGE):
        Image.fromarray(rng.integers(0, 256, (9, 8, 3), np.uint8)).save(folder / name)


def spoil(kind: str, content: bytes, seed: int) -> bytes:
    """Damages a file; below checksums in most cases, which would refuse all that is damaged above them."""
    rng = random.Random(seed)
    if kind == MODEL:
        return mutant(content, seed)
    if kind == ARCHIVE and seed % 5:
        return gzip.compress(damaged(gzip.decompress(content), rng, 6000))
    if kind == CHECKPOINT and seed % 5:
        return _with_damaged_member(content, rng)
    return damaged(content, rng, 600)


def _with_damaged_member(content: bytes, rng: random.Random) -> bytes:
    """Damages the pickle, or one of the tensors, and writes new checksums."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(result, "w") as target:
        entries = source.infolist()
        pickle = next(entry for entry in entries if entry.filename.endswith(".pkl"))
        large = [entry for entry in entries if entry.file_size > 1]
        chosen = pickle if rng.random() < 0.7 else rng.choice(large)
        for entry in entries:
            member = source.read(entry)
            target.writestr(entry.filename, damaged(member, rng) if entry is chosen else member)
    return result.getvalue()


def attempt(words: list[str], folder: Path) -> dict[str, object]:
    """Runs a command line; returns what a user would notice."""
    before = set(folder.iterdir())
    out, err = io.StringIO(), io.StringIO()
    code: object = "no exit"
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            command_line(words)
        except SystemExit as stop:
            code = stop.code or 0
    left = sorted(path.name for path in set(folder.iterdir()) - before)
    for name in left:
        path = folder / name
        for inner in [*path.iterdir()] if path.is_dir() else []:
            inner.unlink()
        path.rmdir() if path.is_dir() else path.unlink()
    return {"code": code, "out": out.getvalue()[:2000], "err": err.getvalue()[:2000], "left": left}


def main(arguments: list[str]) -> None:
    """Tries COUNT damaged files."""
    kind, first, count, place = arguments
    folder = Path(place)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    intact = (folder / kind).read_bytes()
    file = folder / f"damaged-{kind}"
    for seed in range(int(first), int(first) + int(count)):
        file.write_bytes(spoil(kind, intact, seed))
        for command in COMMANDS[kind]:
            names = {"file": str(file), "out": str(folder / "out")}
            words = [part.format(**names) for part in command]
            words = [str(folder / word) if word.startswith("intact.") else word for word in words]
            tried = {"seed": seed, "command": " ".join(command)}
            print(json.dumps({**tried, "begins": True}), flush=True)
            print(json.dumps({**tried, **attempt([*words, "--quiet"], folder)}), flush=True)
    print(json.dumps({"peak": peak_kilobytes() * 1024}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
