"""A deployed model runs and is compared where neither torch nor onnxscript can be imported."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.small_models import images, write_small_model

from rbnn_deploy.runtimes import RUNTIMES

SCRIPT = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        parts = name.split(".")
        if parts[0] in {"torch", "onnxscript", "onnx_ir", "onnxsim"} or parts[:2] in (
            ["rbnn_deploy", "exporters"],
            ["rbnn_deploy", "pytorch"],
        ):
            raise ImportError(f"{name} is not on this device")

sys.meta_path.insert(0, Blocker())
import numpy as np
import rbnn_deploy
from rbnn_deploy.runtimes import load_model
logits = load_model(sys.argv[1], sys.argv[2]).run(np.load(sys.argv[3]))
assert np.isfinite(logits).all()
from rbnn_deploy.comparing import compare
assert compare(sys.argv[1], None, np.load(sys.argv[3])).ok
print(rbnn_deploy.__version__, logits.shape)
"""


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_run_imports_neither(tmp_path: Path, runtime: str) -> None:
    path = write_small_model(tmp_path)
    np.save(tmp_path / "x.npy", images(2))
    arguments = [sys.executable, "-c", SCRIPT, str(path), runtime, str(tmp_path / "x.npy")]
    result = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "(2, 10)" in result.stdout
