"""The examples of docs/training.md, as they stand there."""

import re
import sys
import types
import warnings

import pytest
import torch
from support.paths import ROOT

import rbnn_deploy
from rbnn_deploy.pytorch.layers import SignGradient

PAGE = ROOT / "docs" / "training.md"


def test_the_examples_train_export_resume_and_share(tmp_path, monkeypatch, capsys):
    pytest.importorskip("onnxscript")
    example, shared, loop, callback = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    namespace = {}
    exec(example, namespace)
    assert len(namespace["history"]) == 3
    assert re.fullmatch(r"\d+%\n", capsys.readouterr().out)
    model = rbnn_deploy.load_model("runs/own/model.onnx", runtime="numpy")
    x = namespace["images"][:8].numpy()
    expected = namespace["network"](namespace["images"][:8]).argmax(1)
    assert model.run(x).argmax(1).tolist() == expected.tolist()
    first = namespace["history"]
    exec(example, namespace)  # everything is done already
    assert namespace["history"] == first
    monkeypatch.setenv("WORLD_SIZE", "2")
    seen = []
    for rank in range(2):
        monkeypatch.setenv("RANK", str(rank))
        exec(shared, namespace)
        batches = list(namespace["train_loader"])
        assert [len(labels) for _, labels in batches] == [16] * 8
        seen += [tuple(image.flatten().tolist()) for x, _ in batches for image in x]
    assert len(set(seen)) == 256
    monkeypatch.delenv("WORLD_SIZE")
    exec(example.partition("recipe =")[0], namespace)  # a new network
    binary = namespace["network"][2]
    before = binary.effective_weight() >= 0
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        exec(loop, namespace)
    assert ((binary.effective_weight() >= 0) != before).any()
    assert rbnn_deploy.load_model("runs/own/loop.onnx", runtime="numpy").run(x).shape == (8, 2)
    calls_the_callback(callback, namespace["network"], monkeypatch)


def calls_the_callback(source, network, monkeypatch):
    """Runs the callback as Lightning would, which need not be installed."""
    monkeypatch.setitem(sys.modules, "lightning", types.SimpleNamespace(Callback=object))
    namespace = {}
    exec(source, namespace)
    trainer = types.SimpleNamespace(current_epoch=2, max_epochs=4)
    R1 = network[2].R1.clone()
    namespace["BinaryLayers"]().on_train_epoch_start(trainer, network)
    assert network[2].sign_gradient == SignGradient.at_epoch(2, 4)
    assert not torch.equal(network[2].R1, R1)
