"""docs/own_networks.md, as a new user follows it: the network learns, is exported, compared and measured."""

import os
import re
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from support.documents import blocks, commands
from support.paths import ROOT

import rbnn_deploy
from rbnn_deploy.pytorch.layers import binary_layers

PAGE = ROOT / "docs" / "own_networks.md"


def run(words: list[str], folder: Path) -> str:
    command = [sys.executable, *(["-m", "rbnn_deploy"] if words[0] == "rbnn-deploy" else []), *words[1:]]
    done = subprocess.run(
        command, cwd=folder, env=os.environ | {"COLUMNS": "200"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_page_trains_exports_compares_and_measures(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    network, loop, *_ = (block.text for block in blocks(PAGE) if block.language == "python")
    (tmp_path / "nets.py").write_text(network)
    (tmp_path / "loop.py").write_text(loop)
    train, export, inspect, compare, bench, report, *_ = commands(PAGE)
    trained = run(train, tmp_path)
    losses = [float(loss) for loss in re.findall(r"loss (\d+\.\d+)", trained)]
    assert len(losses) == 6
    assert losses[-1] < losses[0] / 4
    changed = [float(share) for share in re.findall(r"(\d+\.\d+)%", trained)]
    assert len(changed) == 2
    assert min(changed) > 1
    assert "folded 2 binary layers, 13,824 one-bit weights" in run(export, tmp_path)
    assert len(re.findall(r"^\S+ +BinaryConv2d", run(inspect, tmp_path), re.MULTILINE)) == 2
    compared = run(compare, tmp_path)
    (accuracy,) = re.findall(r"accuracy of torch: (\d+\.\d+)%", compared)
    assert float(accuracy) > 80
    assert "All runtimes agree" in compared
    measured = run([*bench, "--runs", "2"], tmp_path)
    assert "ort (this model)" in measured
    assert "fp32 (same net)" in measured
    run(report, tmp_path)
    html = (tmp_path / "report.html").read_text()
    assert "BinaryConv2d" in html
    assert "ort-portable" in html


def test_the_examples_make_layers_binary_and_describe_others(tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("onnxscript")
    _, _, binarized, adapted, _ = (block.text for block in blocks(PAGE) if block.language == "python")
    monkeypatch.chdir(tmp_path)
    found = []
    binarize = rbnn_deploy.binarize

    def recorded(*arguments, **keywords):
        found.append(binarize(*arguments, **keywords))
        return found[-1]

    monkeypatch.setattr(rbnn_deploy, "binarize", recorded, raising=False)
    namespace = {}
    exec(binarized, namespace)
    assert [[name for name, _ in binary_layers(network)] for network in found] == [
        ["2", "4"],
        ["2"],
        ["0", "2"],
        ["linear1.convolution", "linear2.convolution"],
    ]
    exec(adapted, namespace)
    assert "BinaryConv2d" in {node.op_type for node in onnx.load("theirs.onnx").graph.node}


def test_the_example_of_several_inputs_and_outputs(tmp_path: Path, monkeypatch, capsys) -> None:
    pytest.importorskip("onnxscript")
    *_, several = (block.text for block in blocks(PAGE) if block.language == "python")
    monkeypatch.chdir(tmp_path)
    exec(several, {})
    printed = capsys.readouterr().out
    assert "All runtimes agree: no output is more than 0.001 apart" in printed
    assert len(re.findall(r"^\d +(depth|steer) ", printed, re.MULTILINE)) == 12
    Path("nets.py").write_text(several.partition("\n\ndriver =")[0])
    code = (
        "import numpy, torch, nets; torch.save(nets.Driver().state_dict(), 'driver.pt'); "
        "ones = numpy.ones((3, 3, 32, 32), 'float32'); "
        "numpy.savez('inputs.npz', image=ones, speeds=ones[:, 0, 0, :4])"
    )
    run(["python", "-c", code], tmp_path)
    export, *compares = commands(PAGE)[6:]
    run(export, tmp_path)
    assert len(compares) == 2
    for words in compares:
        assert "All runtimes agree: no output is more than 0.001 apart" in run(words, tmp_path)
