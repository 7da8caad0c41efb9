"""Benchmarks the networks for CIFAR-10 and ImageNet and prints the README's table.

usage: python benchmarks/networks.py [--threads T] [--runs N] [--only TEXT] [--int8-layers] [--exact]
                                     [--json FILE]

Weights are random: speed does not depend on them. Needs the extra `export`, to build the networks. A trained
network, or one on a device, is for `rbnn-deploy bench`.
"""

import argparse
import datetime
import json
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from rbnn_deploy.benchmarking import BASELINES, BenchReport, bench
from rbnn_deploy.exporters.onnx import build_model
from rbnn_deploy.exporters.onnx.quantize import quantize_layers
from rbnn_deploy.inspecting import format_bytes
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.pytorch.layers import RotatedBinaryConv2d
from rbnn_deploy.pytorch.networks import build_network
from rbnn_deploy.pytorch.networks.registry import ARCHITECTURES
from rbnn_deploy.runtimes.value_histograms import value_histograms

NETWORKS = [name for name in ARCHITECTURES if name.startswith(("cifar10/", "imagenet/"))]
TITLES = {"float32": "", "int8": ", float layers in int8", "exact": ", exact float layers"}
COLUMNS = ("network", "ours", "fp32", "int8", "portable", "of peak", "file", "fp32 file", "memory")


def random_network(name: str, seed: int = 0) -> nn.Module:
    """Builds a network whose BatchNorms and scales are not the identity, so that nothing folds to nothing."""
    torch.manual_seed(seed)
    network = build_network(name)
    for layer in network.modules():
        if isinstance(layer, RotatedBinaryConv2d):
            layer.alpha.data.normal_(0, layer.weight[0].numel() ** -0.5)
        elif isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d):
            for tensor in (layer.weight.data, layer.bias.data, layer.running_mean):
                assert tensor is not None
                tensor.normal_()
            assert layer.running_var is not None
            layer.running_var.uniform_(0.5, 2)
    return network.eval()


def export(name: str, folder: Path, float_layers: str) -> Path:
    """Writes a network's deployed model."""
    shape = ARCHITECTURES[name].family.input_shape
    images = np.random.default_rng(0).standard_normal((8, 1, *shape), np.float32)
    measure = partial(value_histograms, batches=images) if float_layers == "exact" else None
    built = build_model(
        random_network(name),
        ModelMetadata(name + TITLES[float_layers], shape),
        int8=float_layers == "int8",
        measure=measure,
    )
    model = built.model
    if float_layers == "int8":
        model = quantize_layers(model, built.int8_layers, images)
    path = folder / f"{name.replace('/', '_')}.onnx"
    onnx.save(model, path)
    return path


def row(report: BenchReport) -> str:
    """Writes one line of the table."""
    results = {result.name: result for result in report.results}
    ours = results["ort"]
    cells = [report.model, f"**{ours.median_ms:.2f} ms**"]
    cells += [f"{results[b].median_ms:.2f} ms, {report.speedup[b]:.1f} x" for b in BASELINES]
    cells += [
        f"{report.peak_fraction:.0%}",
        format_bytes(ours.file_bytes),
        format_bytes(results["fp32"].file_bytes),
        f"{ours.peak_rss_mb:.0f} MB",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Runs the benchmarks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, help="rounds a network; about 20 seconds of them if absent")
    parser.add_argument("--only", default="", help="networks whose name contains this")
    parser.add_argument("--int8-layers", action="store_true", help="quantise the float layers of ImageNet's")
    parser.add_argument("--exact", action="store_true", help="also time networks with exact float layers")
    parser.add_argument("--json", type=Path, help="also write all reports to this file")
    options = parser.parse_args()

    names = [name for name in NETWORKS if options.only in name]
    wanted = [(name, "float32") for name in names]
    if options.int8_layers:
        wanted += [(name, "int8") for name in names if name.startswith("imagenet/")]
    if options.exact:
        wanted += [(name, "exact") for name in names]
    reports = []
    with tempfile.TemporaryDirectory() as folder:
        for name, float_layers in wanted:
            print(f"{name}{TITLES[float_layers]} ...", file=sys.stderr)
            path = export(name, Path(folder), float_layers)
            reports.append(bench(path, threads=options.threads, baselines=BASELINES, runs=options.runs))
    host = reports[0].host
    print(f"{host.processor}, {options.threads} thread(s), batch 1, kernel {host.kernel}, ONNX Runtime")
    print(f"{host.versions['onnxruntime']}, {datetime.date.today().isoformat()}; medians.\n")
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    for report in reports:
        print(row(report))
    # One of each kind: their figures differ from network to network.
    warnings = {w.partition("(")[0]: w for report in reports for w in report.host.warnings}
    for warning in warnings.values():
        print(f"\nwarning: {warning}")
    if options.json is not None:
        options.json.write_text(json.dumps([report.to_json() for report in reports], indent=2) + "\n")


if __name__ == "__main__":
    main()
