"""Somebody's project may have folders of the names that ours have in the repository."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.small_models import images, write_small_model

MAIN = """
import numpy as np
import exporters, runtimes
import rbnn_deploy
logits = rbnn_deploy.load_model("model.onnx", "ort").run(np.load("x.npy"))
print(exporters.WHOSE, runtimes.WHOSE, logits.shape)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("exporters", "runtimes"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"WHOSE = {'my ' + name!r}\n")
    (tmp_path / "main.py").write_text(MAIN)
    write_small_model(tmp_path, "model.onnx")
    np.save(tmp_path / "x.npy", images(2))
    return tmp_path


def run(project: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_script_beside_them_runs(project: Path) -> None:
    assert run(project, "main.py") == "my exporters my runtimes (2, 10)\n"


def test_the_command_runs_beside_them(project: Path) -> None:
    assert "stage.conv1" in run(project, "-m", "rbnn_deploy", "inspect", "model.onnx")
