"""Models with bits between their layers on the command line."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from support.generated_c import needs_compiler
from torch import nn

import rbnn_deploy
from rbnn_deploy.errors import UserError
from rbnn_deploy.estimating.estimate import count_elements
from rbnn_deploy.exporters.onnx.passes import sign_links
from rbnn_deploy.exporters.onnx.passes.sum_thresholds import SumThresholds, find_thresholds
from rbnn_deploy.pytorch.methods import BinarizeConv2d

SHAPE = (3, 16, 16)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        BinarizeConv2d(16, 32, kernel_size=3, padding=1),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(32),
        BinarizeConv2d(32, 32, kernel_size=3, padding=1),
        nn.BatchNorm2d(32),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 4),
    ).eval()


def export(path: Path, *, bits: bool = True) -> Path:
    metadata = rbnn_deploy.ModelMetadata("bits", SHAPE, mean=(0, 0, 0), std=(1, 1, 1))
    rbnn_deploy.export(network(), path, metadata=metadata, bits_between_layers=bits)
    return path


@pytest.fixture(scope="module")
def bits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(tmp_path_factory.mktemp("bits") / "bits.onnx")


def test_inspect_counts_what_the_model_with_floats_has(bits: Path, cli: Callable, tmp_path: Path) -> None:
    floats = export(tmp_path / "floats.onnx", bits=False)
    found = []
    for path in (bits, floats):
        outcome = cli("inspect", path, "--json", "-")
        assert outcome.code == 0, outcome.err
        found.append(json.loads(outcome.out))
    layers = [[layer for layer in one["layers"] if layer["kind"] == "binary"] for one in found]
    for key in ("name", "weights", "macs"):
        assert [layer[key] for layer in layers[0]] == [layer[key] for layer in layers[1]]
    assert [layer["operator"] for layer in layers[0]] == ["PackedBinaryConv2d 3x3", "BinaryConv2d 3x3"]
    assert layers[0][0]["output"] == [8, 8, 32]


def test_bench_counts_the_same_macs(bits: Path, cli: Callable, tmp_path: Path) -> None:
    floats = export(tmp_path / "floats.onnx", bits=False)
    found = []
    for path in (bits, floats):
        outcome = cli("bench", path, "--runs", 2, "--warmup", 1, "--baseline", "none", "--json", "-")
        assert outcome.code == 0, outcome.err
        found.append([layer["binary_macs"] for layer in json.loads(outcome.out)["layers"]])
    assert found[0] == found[1] == [16 * 16 * 32 * 16 * 9, 8 * 8 * 32 * 32 * 9]


def test_compare_looks_at_the_bits(bits: Path, cli: Callable) -> None:
    outcome = cli("compare", bits, "--runtimes", "ort,numpy", "--layers", "--random", 3, "--json", "-")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert [layer["bits"] for layer in found["layers"]] == [3 * 16 * 16 * 16, 3 * 8 * 8 * 32]
    assert all(layer["identical"] for layer in found["layers"])


@needs_compiler
def test_c_takes_it(bits: Path, cli: Callable, tmp_path: Path) -> None:
    outcome = cli("export", bits, "--format", "c", "-o", tmp_path / "c")
    assert outcome.code == 0, outcome.err
    assert "packed_binary_conv2d(" in (tmp_path / "c" / "model.c").read_text()
    assert subprocess.run(["make", "-s", "check"], cwd=tmp_path / "c", check=False).returncode == 0


def test_c_in_one_step(cli: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parent)
    torch.save(network().state_dict(), tmp_path / "network.pth")
    outcome = cli(
        *("export", tmp_path / "network.pth", "--module", f"{Path(__file__).stem}:network"),
        *("--input-shape", "3x16x16", "--bits-between-layers", "--format", "c", "-o", tmp_path / "c"),
    )
    assert outcome.code == 0, outcome.err
    assert "packed_binary_conv2d(" in (tmp_path / "c" / "model.c").read_text()


def test_options_that_do_not_fit_are_refused(cli: Callable, checkpoint: Path, tmp_path: Path) -> None:
    for options in (["--format", "qonnx"], ["--no-simplify", "--no-check"]):
        outcome = cli("export", checkpoint, "--bits-between-layers", *options, "-o", tmp_path / "x")
        assert outcome.code == 2, options
        assert "bits" in outcome.err
        assert not (tmp_path / "x").exists()


def test_export_finds_out_if_outputs_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*given: Any) -> SumThresholds:
        found = find_thresholds(*given)
        return replace(found, thresholds=found.thresholds + np.int32(4))

    monkeypatch.setattr(sign_links, "find_thresholds", wrong)
    with pytest.raises(UserError, match="bits between its layers computes something else"):
        export(tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_a_network_that_needs_floats_everywhere_is_told_of(
    cli: Callable, checkpoint: Path, tmp_path: Path
) -> None:
    outcome = cli("export", checkpoint, "--bits-between-layers", "-o", tmp_path / "model.onnx")
    assert outcome.code == 0, outcome.err
    assert "no layer of this network can pass bits on" in " ".join(outcome.err.split())


def test_estimates_count_what_packing_reads_and_compares(bits: Path, tmp_path: Path) -> None:
    floats = export(tmp_path / "floats.onnx", bits=False)
    first, second = (16 * 16 * 16, 16 * 16 * 32), (8 * 8 * 32, 8 * 8 * 32)
    assert count_elements(onnx.load(floats)) == sum(first) + sum(second)
    unpacked = 8 * 8 * 32
    assert count_elements(onnx.load(bits)) == sum(first) + sum(second) + unpacked
