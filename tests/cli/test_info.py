"""`info`: what a bug report needs, also where something is broken."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import rbnn_deploy.runtimes
from rbnn_deploy import __version__
from rbnn_deploy.runtimes.library import library_info


def test_it_says_what_the_library_says_of_itself(cli: Callable) -> None:
    found = json.loads(cli("info", "--json", "-").out)
    library = library_info()
    assert found["library"]["kernel"] == library["kernel"]
    assert found["library"]["kernels"] == {entry["name"]: entry["available"] for entry in library["kernels"]}
    assert (found["version"], found["library"]["error"]) == (__version__, None)
    assert found["packages"]["numpy"] == np.__version__
    assert {"numpy", "onnx", "onnxruntime", "typer"} <= set(found["packages"])
    assert {"torch", "onnxscript"} <= set(found["extras"]["export"])
    assert set(found["extras"]) == {"export", "train", "report", "web"}


def test_the_text_names_kernel_and_versions(cli: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RBNN_KERNEL", "portable")
    outcome = cli("info")
    assert outcome.code == 0, outcome.err
    assert "kernel: portable, of " in outcome.out
    assert f"rbnn-deploy: {__version__}" in outcome.out
    assert "environment: RBNN_KERNEL=portable" in outcome.out


def test_a_kernel_that_is_refused_is_a_fact_and_no_failure(
    cli: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RBNN_KERNEL", "nonsense")
    outcome = cli("info", "--json", "-")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert "nonsense" in found["library"]["error"]
    assert found["library"]["kernel"] is None
    assert found["environment"]["RBNN_KERNEL"] == "nonsense"


def test_a_missing_library(cli: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rbnn_deploy.runtimes, "__path__", [str(tmp_path)])
    outcome = cli("info")
    assert outcome.code == 0, outcome.err
    assert "is not installed" in " ".join(outcome.out.split())
