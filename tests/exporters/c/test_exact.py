"""Networks with exact float layers in C: the logits of ONNX Runtime and NumPy, without any tolerance."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from support.generated_c import build, needs_compiler
from support.networks import randomise

from rbnn_deploy import load_model
from rbnn_deploy.exporters.onnx import export_onnx
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.pytorch.networks.other_methods import OTHER_METHODS
from rbnn_deploy.pytorch.networks.registry import ARCHITECTURES
from rbnn_deploy.runtimes.value_histograms import value_histograms

pytestmark = needs_compiler


@pytest.mark.parametrize(
    "name",
    ["digits/resnet8_1w1a", "cifar10/resnet20_react_1w1a", "cifar10/recu_resnet20", "imagenet/resnet18_1w1a"],
)
def test_logits_are_equal(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    architecture = (ARCHITECTURES | OTHER_METHODS)[name]
    family = architecture.family
    shape = (3, 64, 64) if family.name == "imagenet" else family.input_shape
    x = np.random.default_rng(0).standard_normal((3, *shape), np.float32)
    path = tmp_path / "model.onnx"
    network = randomise(architecture.builder(family.num_classes), seed=2)
    export_onnx(network, path, ModelMetadata(name, shape), measure=partial(value_histograms, batches=[x[:2]]))
    model = build(path, tmp_path)
    for runtime in ("ort", "numpy"):
        for image, want in zip(x, load_model(path, runtime).run(x), strict=True):
            np.testing.assert_array_equal(model.run(image)[0], want)
