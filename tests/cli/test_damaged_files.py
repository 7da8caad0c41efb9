"""Damaged files on the command line: exit code 2, one sentence, no output, little memory; never a crash."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from support.cifar import write_archive
from support.paths import ROOT
from support.try_commands import ARCHIVE, CHECKPOINT, COMMANDS, IMAGE, MODEL, write_intact

from rbnn_deploy.data.cifar import VERSIONS

COUNTS = {MODEL: 60, IMAGE: 150, ARCHIVE: 60, CHECKPOINT: 40}
DIFFERENCE = 1  # of `compare`: the damage may be in a value that runtimes round differently
LARGEST_PEAK = 2 << 30  # bytes; imports of torch and ONNX Runtime alone take 0.5 GB


@pytest.mark.parametrize("kind", COMMANDS)
def test_they_are_refused_in_one_sentence_or_read(kind: str, tmp_path: Path, checkpoint: Path) -> None:
    write_intact(tmp_path)
    (tmp_path / CHECKPOINT).write_bytes(checkpoint.read_bytes())
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    write_archive(VERSIONS[0], unpacked, tmp_path / ARCHIVE, per_file=2)
    command = [sys.executable, "-m", "support.try_commands", kind, "1", str(COUNTS[kind]), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment, timeout=800
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"crashed: {lines[-1:]} {done.stderr[-500:]}"
    ends = [line for line in lines if "code" in line]
    assert len(ends) == COUNTS[kind] * len(COMMANDS[kind])
    for end in ends:
        refused = end["code"] == 2
        assert end["code"] in (0, 2) or (end["code"] == DIFFERENCE and "compare" in end["command"]), end
        assert "internal error" not in end["err"], end
        if refused:
            *notes, last = end["err"].strip().splitlines()
            assert last.startswith("error: "), end
            assert not [line for line in notes if line.startswith("error: ")], end
            assert (end["out"], end["left"]) == ("", []), end
    codes = Counter(end["code"] for end in ends)
    assert codes[0] + codes[DIFFERENCE] > len(ends) / 20, codes  # both happen, often enough to show something
    assert codes[2] > len(ends) / 20, codes
    assert lines[-1]["peak"] < LARGEST_PEAK
