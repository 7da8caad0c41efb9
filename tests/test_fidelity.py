"""Checkpoints of the reference implementation become models that compute what the paper says.

The checkpoints are drawn here, in the reference's format. A transcription of the paper in float64, which
shares no code with ours, computes the bits and logits that they must give. It is itself checked
against the reference's recordings where those are at hand.
"""

import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator
from support.paths import REFERENCE, needs_reference
from support.reference_checkpoint import draw_state, images, write_checkpoint
from support.reference_inference import State, Trace, binary_convolution, resnet20, rotated_weight

import rbnn_deploy
from rbnn_deploy.operators import BINARY_CONV2D
from rbnn_deploy.pytorch.layers import binary_layers
from rbnn_deploy.runtimes import RUNTIMES

# Behind equal bits only float steps differ: BatchNorms and a head of 64 products, with logits of up to 6.
LOGIT_TOLERANCE = 2e-5
# No activation is nearer than this to its threshold, in standard deviations. Float32 moves one by some 1e-7,
# so all bits must be equal on every machine.
MARGIN = 3e-6
# The seed of each network's images, chosen for that.
CASES = {"resnet20_1w1a": 106, "resnet20_bireal_1w1a": 104}


@dataclass(frozen=True)
class Street:
    """One network on its way: the checkpoint, the model made from it, and what both should compute."""

    model: str
    state: State
    checkpoint: Path
    path: Path
    x: NDArray[np.float32]
    logits: NDArray[np.float64]
    trace: Trace

    @property
    def nodes(self) -> list[onnx.NodeProto]:
        return [node for node in onnx.load(self.path).graph.node if node.op_type == BINARY_CONV2D]

    def assert_logits(self, got: NDArray[np.float32]) -> None:
        np.testing.assert_allclose(got, self.logits, rtol=0, atol=LOGIT_TOLERANCE)

    def flipped(self, name: str, x: NDArray[np.float32]) -> int:
        """Counts the bits of a layer's input [N, C, H, W] that differ from the transcription's."""
        mean = x.mean((1, 2, 3), dtype=np.float64, keepdims=True)
        return int(((x >= mean) != (self.trace.activations[name] >= 0)).sum())


@pytest.fixture(scope="module", params=CASES)
def street(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Street:
    model = request.param
    folder = tmp_path_factory.mktemp(model)
    state = draw_state(model, seed=0)
    checkpoint, path = folder / "model_best.pth.tar", folder / "model.onnx"
    write_checkpoint(checkpoint, model, state, parallel=model == "resnet20_1w1a")
    rbnn_deploy.export(checkpoint, path)
    x, trace = images(6, CASES[model]), Trace()
    logits = resnet20(state, x, bireal="bireal" in model, trace=trace)
    return Street(model, state, checkpoint, path, x, logits, trace)


def test_the_case_tells_right_from_wrong(street: Street) -> None:
    assert len(street.trace.activations) == 18
    assert street.trace.margin > MARGIN
    assert len(set(street.logits.argmax(1))) > 3
    # About half of all bits are set, and no layer passes on what it was given.
    shares = [float((a >= 0).mean()) for a in street.trace.activations.values()]
    assert min(shares) > 0.4
    assert max(shares) < 0.6


def test_it_loads_without_a_flag(street: Street) -> None:
    loaded = rbnn_deploy.load_checkpoint(street.checkpoint)
    assert loaded.architecture == f"cifar10/{street.model}"
    assert (loaded.num_classes, loaded.input_shape, loaded.epoch) == (10, (3, 32, 32), 12)
    assert loaded.unused_keys == ()
    state = loaded.module.state_dict()
    assert state.keys() == street.state.keys()
    assert all(np.array_equal(state[key].numpy(), value) for key, value in street.state.items())


def test_weights_are_the_signs_of_the_rotated_ones(street: Street) -> None:
    tensors = {tensor.name: tensor for tensor in onnx.load(street.path).graph.initializer}
    assert [node.name for node in street.nodes] == list(street.trace.activations)
    for node in street.nodes:
        expected = rotated_weight(street.state, node.name).transpose(0, 2, 3, 1) > 0
        packed = numpy_helper.to_array(tensors[node.input[1]])
        bits = np.unpackbits(packed, axis=-1, bitorder="little", count=expected.shape[-1])
        np.testing.assert_array_equal(bits, expected, err_msg=node.name)


def test_torch_gives_the_papers_bits_and_logits(street: Street) -> None:
    module = rbnn_deploy.load_checkpoint(street.checkpoint).module
    flipped = {}

    def count(name: str, x: torch.Tensor) -> None:
        flipped[name] = street.flipped(name, x.numpy())

    for name, layer in binary_layers(module):
        layer.register_forward_pre_hook(lambda _, inputs, name=name: count(name, inputs[0]))
    with torch.no_grad():
        street.assert_logits(module(torch.from_numpy(street.x)).numpy())
    assert flipped == dict.fromkeys(street.trace.activations, 0)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_runtime_gives_the_papers_bits_and_logits(street: Street, runtime: str) -> None:
    model = rbnn_deploy.load_model(street.path, runtime)
    street.assert_logits(model.run(street.x))
    values = model.run_with(street.x, sorted({node.input[0] for node in street.nodes}))
    flipped = {
        node.name: street.flipped(node.name, values[node.input[0]].transpose(0, 3, 1, 2))
        for node in street.nodes
    }
    assert flipped == dict.fromkeys(street.trace.activations, 0)


def test_the_same_file_runs_in_a_bare_onnxruntime(street: Street, tmp_path: Path) -> None:
    code = (
        "import sys, numpy, onnxruntime\n"
        "session = onnxruntime.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider'])\n"
        "numpy.save(sys.argv[3], session.run(None, {'input': numpy.load(sys.argv[2])})[0])\n"
        "assert 'rbnn_deploy' not in sys.modules\n"
    )
    x, out = tmp_path / "x.npy", tmp_path / "logits.npy"
    np.save(x, street.x)
    subprocess.run([sys.executable, "-c", code, street.path, x, out], check=True, cwd=tmp_path)
    street.assert_logits(np.load(out))


def test_the_same_file_runs_in_the_onnx_evaluator(street: Street) -> None:
    street.assert_logits(ReferenceEvaluator(onnx.load(street.path)).run(None, {"input": street.x})[0])


def test_the_file_is_small_and_lean(street: Street) -> None:
    assert street.path.stat().st_size < 90_000
    model = onnx.load(street.path)
    counts = Counter(node.op_type for node in model.graph.node)
    assert counts[BINARY_CONV2D] == 18
    assert counts["Conv"] == 1
    assert counts["Transpose"] == 1
    assert counts["BatchNormalization"] + counts["Add"] + counts["Mul"] == 0
    assert model.ir_version == 8
    assert {entry.domain: entry.version for entry in model.opset_import}[""] == 18


@needs_reference
def test_the_transcription_computes_the_references_layers() -> None:
    with np.load(REFERENCE / "layer_cases.npz") as cases:
        for case in (f"case{i}" for i in range(5)):
            entries = ("weight", "alpha", "rotate", "R1", "R2")
            state = {f"{case}.{key}": cases[f"{case}/{key}"] for key in entries}
            stride, padding = (int(cases[f"{case}/{key}"]) for key in ("stride", "padding"))
            got = binary_convolution(state, case, np.float64(cases[f"{case}/input"]), stride, padding)
            # The reference rounds the product with alpha, once: sums of signs are whole numbers.
            np.testing.assert_allclose(got, cases[f"{case}/output"], rtol=1e-7, atol=0)


@needs_reference
def test_the_transcription_computes_the_references_network() -> None:
    content = torch.load(REFERENCE / "resnet20_bireal_1w1a.pth.tar", weights_only=True)
    state = {key: value.numpy() for key, value in content["state_dict"].items()}
    trace = Trace()
    with np.load(REFERENCE / "expected.npz") as expected:
        logits = resnet20(state, expected["x"], bireal=True, trace=trace)
        difference = np.abs(logits - expected["logits"]).max(axis=1)
    nearest = np.min([np.abs(a).min((1, 2, 3)) for a in trace.activations.values()], axis=0)
    # One image has an activation that float32 cannot tell from its mean; the others differ by rounding alone.
    assert (nearest < 1e-7).sum() == 1
    assert (difference < LOGIT_TOLERANCE).tolist() == (nearest > 1e-7).tolist()


@needs_reference
def test_drawn_checkpoints_are_as_the_references(tmp_path: Path) -> None:
    def describe(path: Path) -> dict[str, object]:
        content = torch.load(path, weights_only=True)
        tensors = [*content["state_dict"].items(), *enumerate(content["parameters"])]
        return {
            "entries": {key: type(value) for key, value in content.items()},
            "tensors": [(key, type(value), value.shape, value.dtype) for key, value in tensors],
        }

    model = "resnet20_bireal_1w1a"
    write_checkpoint(tmp_path / "drawn.pth.tar", model, draw_state(model, seed=0), parallel=False)
    assert describe(tmp_path / "drawn.pth.tar") == describe(REFERENCE / f"{model}.pth.tar")
