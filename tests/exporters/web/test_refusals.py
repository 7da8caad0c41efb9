"""What cannot become a page: one sentence, nothing written."""

import importlib.util
import subprocess
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import helper
from support.small_models import small_model
from support.web import needs_zig, write_site

from rbnn_deploy.errors import UserError
from rbnn_deploy.metadata import ModelMetadata


def refused(model: onnx.ModelProto, folder: Path, *words: str, onnxruntime_web: Path | None = None) -> None:
    before = {path.name for path in folder.iterdir()}
    with pytest.raises(UserError) as info:
        write_site(model, folder, onnxruntime_web)
    message = str(info.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    assert {path.name for path in folder.iterdir()} == {"model.onnx", *before}


@needs_zig
def test_a_map_of_open_size(tmp_path: Path) -> None:
    model = small_model()
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "H"
    refused(model, tmp_path, "C, H and W fixed")


@needs_zig
def test_a_model_that_says_nothing_of_images(tmp_path: Path) -> None:
    refused(small_model(metadata=False), tmp_path, "does not say how images become its input")


@needs_zig
def test_a_model_of_other_arrays(tmp_path: Path) -> None:
    model = small_model(metadata=False)
    helper.set_model_props(model, ModelMetadata("spectrum").to_properties())
    refused(model, tmp_path, "does not say how images become its input")


@needs_zig
def test_an_operator_without_c_code(tmp_path: Path) -> None:
    model = small_model()
    model.graph.node[0].output[0] = "before"
    model.graph.node.insert(1, helper.make_node("Erf", ["before"], ["stem"], name="stem.gelu"))
    refused(model, tmp_path, "'stem.gelu'", "no C code")


def test_without_the_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ziglang" else find(name))
    refused(small_model(), tmp_path, "ziglang", "pip install 'rbnn-deploy[web]'")


@needs_zig
def test_a_compiler_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "note: one\nerror: no space left on device\n")

    monkeypatch.setattr(subprocess, "run", fail)
    refused(small_model(), tmp_path, "no space left on device")


@needs_zig
def test_a_folder_that_is_not_onnxruntime_web(tmp_path: Path) -> None:
    refused(small_model(), tmp_path, "npm install onnxruntime-web", onnxruntime_web=tmp_path)


def test_a_folder_with_other_files_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "thesis.tex").write_text("years of work")
    refused(small_model(), tmp_path, "holds other files (thesis.tex)")
    assert [path.name for path in (tmp_path / "site").iterdir()] == ["thesis.tex"]


@needs_zig
def test_a_folder_of_an_earlier_export_is_replaced(tmp_path: Path) -> None:
    first = write_site(small_model(seed=0), tmp_path)
    (first.folder / "onnxruntime-web").mkdir()
    before = (first.folder / "index.html").read_bytes()
    write_site(small_model(seed=1), tmp_path)
    assert (first.folder / "index.html").read_bytes() != before
    assert sorted(path.name for path in first.folder.iterdir()) == [
        "index.html",
        "model.mjs",
        "model.wasm",
        "offline.js",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "site"]
