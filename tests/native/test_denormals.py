"""Sessions that take subnormal numbers for zeros: the operators' bits stay those of the specification."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from rbnn_deploy.operators import BinaryConv2dAttributes
from rbnn_deploy.runtimes.numpy_backend.binary_conv2d import binary_conv2d
from rbnn_deploy.runtimes.operator_model import operator_model

# In a process of its own: ONNX Runtime sets the calling thread as the first session of the process asks.
# It prints whether the option took on that thread.
PROGRAM = """
import json, sys
import numpy as np
import onnxruntime
from rbnn_deploy.runtimes.library import get_library_path

model, inputs, output, threads = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.add_session_config_entry("session.set_denormal_as_zero", "1")
options.intra_op_num_threads = int(threads)
options.register_custom_ops_library(get_library_path())
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
np.save(output, session.run(None, dict(np.load(inputs)))[0])
print(json.dumps(bool((np.float32([1e-40]) * np.float32(1) == 0).all())))
"""


def tensors() -> dict[str, np.ndarray]:
    """Draws tensors for several tasks; activations, thresholds, factors and results are subnormal."""
    rng = np.random.default_rng(5)

    def small(*shape: int) -> np.ndarray:
        values = rng.standard_normal(shape, dtype=np.float32)
        return values * rng.choice(np.float32([1e-40, 1e-38]), shape)

    return {
        "X": small(2, 40, 41, 37),
        "W": rng.integers(0, 256, (70, 3, 3, 5), dtype=np.uint8),
        "scale": small(70),
        "bias": small(70),
        "R": small(2, 40, 41, 70),
    }


@pytest.mark.parametrize("rule", ["sample_mean", "zero"])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_session_that_flushes_changes_no_bit(kernel: str, threads: int, rule: str, tmp_path: Path) -> None:
    values = tensors()
    attributes = BinaryConv2dAttributes(37, pads=(1, 1, 1, 1), threshold=rule)
    constants = {name: values[name] for name in ("W", "scale", "bias")}
    model, inputs, output = tmp_path / "model.onnx", tmp_path / "inputs.npz", tmp_path / "y.npy"
    model.write_bytes(operator_model(**constants, attributes=attributes).SerializeToString())
    np.savez(inputs, X=values["X"], R=values["R"])
    command = [sys.executable, "-c", PROGRAM, *map(str, (model, inputs, output, threads))]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    assert json.loads(result.stdout) is True
    want = binary_conv2d(**values, attributes=attributes)
    assert (np.abs(want) < np.finfo(np.float32).tiny).any()
    assert np.load(output).tobytes() == want.tobytes()


def test_numpy_says_that_it_cannot_be_right() -> None:
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush subnormal numbers")
    try:
        with pytest.raises(
            ValueError, match="takes subnormal numbers for zeros, which changes bits; turn off"
        ):
            binary_conv2d(**tensors(), attributes=BinaryConv2dAttributes(37, pads=(1, 1, 1, 1)))
    finally:
        torch.set_flush_denormal(False)
