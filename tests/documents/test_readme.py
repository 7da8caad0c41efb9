"""The Python examples of README.md, as they stand there."""

import re

import pytest
from support.paths import ROOT


def test_the_examples_export_load_and_register_the_library(tmp_path, monkeypatch):
    pytest.importorskip("onnxscript")
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(examples) == 3
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for example in examples:
        exec(example, namespace)
    assert namespace["logits"].shape == (1, 10)
    assert namespace["prediction"].classes[0].name == namespace["prediction"].name
    assert len(namespace["prediction"].classes) == 3
    (logits,) = namespace["session"].run(None, {"input": namespace["images"]})
    assert (logits == namespace["logits"]).all()  # the same file, library and processor
