"""rbnn-deploy: rotated binary neural networks, from a checkpoint to a real device.

The names below are imported when they are first used, so that running a deployed model loads
neither torch nor onnxscript.
"""

import importlib
from typing import TYPE_CHECKING, Any

from rbnn_deploy.version import __version__

if TYPE_CHECKING:
    from rbnn_deploy.api import compare, export, inspect, load_checkpoint, load_model
    from rbnn_deploy.benchmarking.bench import bench
    from rbnn_deploy.classifying.evaluate import evaluate
    from rbnn_deploy.metadata import ModelMetadata
    from rbnn_deploy.pytorch.adapting import BinaryConvolution, adapt
    from rbnn_deploy.pytorch.binarizing import binarize
    from rbnn_deploy.pytorch.folding import fold
    from rbnn_deploy.pytorch.layers import RotatedBinaryConv2d, begin_epoch
    from rbnn_deploy.pytorch.training import train
    from rbnn_deploy.runtimes.library import get_library_path

__all__ = [
    "BinaryConvolution",
    "ModelMetadata",
    "RotatedBinaryConv2d",
    "__version__",
    "adapt",
    "begin_epoch",
    "bench",
    "binarize",
    "compare",
    "evaluate",
    "export",
    "fold",
    "get_library_path",
    "inspect",
    "load_checkpoint",
    "load_model",
    "train",
]

_HOMES = {
    "BinaryConvolution": "rbnn_deploy.pytorch.adapting",
    "ModelMetadata": "rbnn_deploy.metadata",
    "RotatedBinaryConv2d": "rbnn_deploy.pytorch.layers",
    "adapt": "rbnn_deploy.pytorch.adapting",
    "begin_epoch": "rbnn_deploy.pytorch.layers",
    "bench": "rbnn_deploy.benchmarking",
    "binarize": "rbnn_deploy.pytorch.binarizing",
    "compare": "rbnn_deploy.api",
    "evaluate": "rbnn_deploy.classifying",
    "export": "rbnn_deploy.api",
    "fold": "rbnn_deploy.pytorch.folding",
    "get_library_path": "rbnn_deploy.runtimes.library",
    "inspect": "rbnn_deploy.api",
    "load_checkpoint": "rbnn_deploy.api",
    "load_model": "rbnn_deploy.api",
    "train": "rbnn_deploy.pytorch.training",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
