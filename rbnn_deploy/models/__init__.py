"""The deployed model that comes with the package; README.md beside it is its model card."""

from pathlib import Path

EMBEDDED_MODEL = Path(__file__).with_name("cifar10_resnet20_react_1w1a.onnx")
