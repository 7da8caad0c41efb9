"""Damaged models in every reader: none crashes, none is an internal error, none asks for much memory."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from support.paths import ROOT
from support.small_models import write_model_of_several, write_small_model

from rbnn_deploy.runtimes import RUNTIMES

COUNT = 250  # per process; each takes about 10 seconds


@pytest.mark.parametrize(
    ("first", "write"), [(0, write_small_model), (100_000, write_small_model), (0, write_model_of_several)]
)
def test_mutants_run_or_are_refused(first: int, write: Callable[[Path], Path], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "support.try_models", str(write(tmp_path)), str(first)]
    done = subprocess.run(
        [*command, str(COUNT), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
        timeout=600,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"crashed: {lines[-1:]} {done.stderr[-500:]}"
    ends = Counter((line["reader"], line["end"]) for line in lines if "end" in line)
    assert {end for _, end in ends} == {"ran", "refused"}, ends
    for reader in ("inspect", *RUNTIMES):  # both happen, often enough to show something
        assert ends[reader, "ran"] > COUNT / 10
        assert ends[reader, "refused"] > COUNT / 10
