"""Times VGG-like networks with bits between their layers, and with floats, in turns in one process.

usage: python benchmarks/bits_between.py [--threads T] [--rounds N] [--size PIXELS]

Weights are random: speed does not depend on them. Needs the extra `export`, to build the networks.
"""

import argparse
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from rbnn_deploy.exporters.onnx import build_model
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.pytorch.methods import BinarizeConv2d
from rbnn_deploy.runtimes import load_model
from rbnn_deploy.runtimes.library import library_info
from rbnn_deploy.runtimes.value_histograms import value_histograms

WIDTHS = (32, 64, 128)
PLANS = (("float32", False), ("float32", True), ("exact", False), ("exact", True))  # float layers, bits


def vgg(width: int, size: int) -> nn.Module:
    """Builds VGG-Small's layers, `width` channels first, with plain signs and BatchNorms that fold."""
    torch.manual_seed(0)
    channels = (width, width, 2 * width, 2 * width, 4 * width, 4 * width)
    layers: list[nn.Module] = []
    for index, outputs in enumerate(channels):
        inputs = channels[index - 1] if index else 3
        layers.append(
            BinarizeConv2d(inputs, outputs, kernel_size=3, padding=1)
            if index
            else nn.Conv2d(inputs, outputs, 3, padding=1)
        )
        if index % 2:
            layers.append(nn.MaxPool2d(2))
        norm = nn.BatchNorm2d(outputs)
        for tensor in (norm.weight, norm.bias, norm.running_mean):
            assert tensor is not None
            tensor.data.normal_()
        layers += [norm, nn.Hardtanh()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels[-1] * (size // 8) ** 2, 10)).eval()


def medians(width: int, size: int, threads: int, rounds: int, folder: Path) -> list[float]:
    """Returns the milliseconds of each plan, for one image."""
    x = np.random.default_rng(0).standard_normal((1, 3, size, size), np.float32)
    network, models = vgg(width, size), []
    for float_layers, bits in PLANS:
        measure = partial(value_histograms, batches=[x]) if float_layers == "exact" else None
        built = build_model(
            network, ModelMetadata("vgg", x.shape[1:]), measure=measure, bits_between_layers=bits
        )
        path = folder / f"{float_layers}_{bits}.onnx"
        onnx.save(built.model, path)
        models.append(load_model(path, threads=threads))
    times: list[list[float]] = [[] for _ in models]
    for _ in range(rounds):
        for model, measured in zip(models, times, strict=True):
            begin = time.perf_counter()
            model.run(x)
            measured.append(time.perf_counter() - begin)
    return [1e3 * float(np.median(measured)) for measured in times]


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--size", type=int, default=32, help="height and width of the image")
    options = parser.parse_args()
    print(f"kernel {library_info()['kernel']}, {options.threads} thread(s), batch 1, medians\n")
    print(
        "| first channels | floats | bits | | exact, floats | exact, bits | |\n|---|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as folder:
        for width in WIDTHS:
            plain, bits, exact, both = medians(
                width, options.size, options.threads, options.rounds, Path(folder)
            )
            cells = [f"{plain:.3f} ms", f"{bits:.3f} ms", f"{plain / bits:.2f} x"]
            cells += [f"{exact:.3f} ms", f"{both:.3f} ms", f"{exact / both:.2f} x"]
            print(f"| {width} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
