"""Estimates hold against figures that this project measured or counted, and say what they do not know."""

import re
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from support.paths import ROOT

from rbnn_deploy.errors import UserError
from rbnn_deploy.estimating import DEVICES, estimate
from rbnn_deploy.exporters.c import plan_memory
from rbnn_deploy.exporters.onnx import export_onnx
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.models import EMBEDDED_MODEL
from rbnn_deploy.pytorch.networks import build_network

MICROCONTROLLERS = [name for name, device in DEVICES.items() if device.is_microcontroller]


def milliseconds(network: str) -> float:
    """Returns the time of README's benchmark table."""
    row = re.search(rf"^\| {network} \| \*\*([\d.]+) ms\*\*", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert row is not None
    return float(row[1])


def test_measured_times_are_within_the_range(tmp_path: Path) -> None:
    name, path = "cifar10/resnet20_bireal_1w1a", tmp_path / "model.onnx"
    network = build_network(name)
    export_onnx(network, path, ModelMetadata(name, (3, 32, 32)))
    (result,) = estimate(path, ["x86-64-avx512"]).results
    assert result.fastest is not None
    assert result.slowest is not None
    assert result.fastest <= milliseconds(name) <= result.slowest


def test_times_of_boards_are_within_the_range() -> None:
    """docs/c.md computes them from the instructions that an emulator counted."""
    lines = (ROOT / "docs" / "c.md").read_text().splitlines()
    own = "\n".join(line for line in lines if "network for digits" not in line)
    boards = re.findall(r"^\| \w+ \((M\d)F?.*?= ([\d.]+) s", own, re.MULTILINE)
    assert {core for core, _ in boards} == {"M4", "M7"}
    for core, seconds in boards:
        (result,) = estimate(EMBEDDED_MODEL, [f"cortex-{core.lower()}"]).results
        assert result.fastest is not None
        assert result.slowest is not None
        assert result.fastest <= 1000 * float(seconds) <= result.slowest, core


@pytest.mark.parametrize("name", MICROCONTROLLERS)
def test_microcontrollers_get_the_plan_of_the_c_export(name: str) -> None:
    (result,) = estimate(EMBEDDED_MODEL, [name]).results
    assert result.memory == plan_memory(EMBEDDED_MODEL).arena_bytes
    assert result.storage is not None
    assert result.storage > plan_memory(EMBEDDED_MODEL).weight_bytes


def test_all_ranges_go_from_slow_to_fast() -> None:
    for device in DEVICES.values():
        assert device.clock[0] <= device.clock[1]
        assert device.binary[0] < device.binary[1]
        assert device.real[0] < device.real[1]
        assert device.element[0] > device.element[1]
        assert device.node[0] >= device.node[1]


def test_what_is_not_known_is_said(tmp_path: Path) -> None:
    model = onnx.load(EMBEDDED_MODEL)
    x = model.graph.input[0].name
    model.graph.node.insert(0, onnx.helper.make_node("Erf", [x], ["erf"], name="erf"))
    model.graph.node[1].input[0] = "erf"
    properties = [entry for entry in model.metadata_props if not entry.key.endswith("sha256")]
    del model.metadata_props[:]
    model.metadata_props.extend(properties)
    path = tmp_path / "erf.onnx"
    onnx.save(model, path)
    small, large = estimate(path, ["cortex-m4", "x86-64"]).results
    assert small == replace(small, storage=None, memory=None, fastest=None, slowest=None)
    assert "erf" in small.note
    assert large.fastest is not None
    assert not large.note


def test_a_device_that_is_not_in_the_table() -> None:
    with pytest.raises(UserError, match="unknown device 'z80'; known are cortex-m3"):
        estimate(EMBEDDED_MODEL, ["z80"])
