"""The examples of docs/training.md, as they stand there."""

import re

import pytest
from support.paths import ROOT

import rbnn_deploy

PAGE = ROOT / "docs" / "training.md"


def test_the_examples_train_export_resume_and_share(tmp_path, monkeypatch, capsys):
    pytest.importorskip("onnxscript")
    example, shared = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
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
