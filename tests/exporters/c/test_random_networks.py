"""Random networks of binary layers, residuals and what lies between: the same bits in C as in NumPy."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.generated_c import build, needs_compiler
from support.random_networks import draw_network

from rbnn_deploy.operators import OPERATORS
from rbnn_deploy.runtimes.numpy_backend.runtime import NumpyRuntime

pytestmark = needs_compiler


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32 - 1))
def test_random_network(seed: int) -> None:
    rng = np.random.default_rng(seed)
    proto = draw_network(rng)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = build(proto, folder, ("cc", "-O0"))
        x = rng.standard_normal((1, *model.result.program.input_shape), np.float32)
        runtime = NumpyRuntime(folder / "model.onnx", in_order=True)
        names = [n.output[0] for n in proto.graph.node if n.op_type in OPERATORS]
        judge = runtime.run_with(x, [*names, runtime.signature.outputs[0].name])
        output, values = model.run(x[0])
        for layer in names:
            assert np.array_equal(values[layer], judge[layer].ravel()), layer
        assert np.array_equal(output, judge[runtime.signature.outputs[0].name].ravel())
