"""The API reference builds without a warning, and its docstrings name shapes and errors."""

import importlib.util
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.paths import ROOT

pytest.importorskip("pdoc")
SCRIPT = ROOT / "tools" / "api_reference.py"
SPEC = importlib.util.spec_from_file_location("api_reference", SCRIPT)
REFERENCE = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(REFERENCE)
ARRAY = re.compile(r"\bTensor\b|\bndarray\b|\bNDArray\b|\bFloat32\b|\bUInt8\b")


def public() -> Iterator[tuple[str, Any]]:
    """Yields every public class and function, and the public methods that a class defines."""
    for place in REFERENCE.PUBLIC:
        module = importlib.import_module(place)
        own = [name for name, value in vars(module).items() if getattr(value, "__module__", None) == place]
        for name in getattr(module, "__all__", own):
            value = getattr(module, name)
            if name.startswith("_") or not (inspect.isclass(value) or inspect.isfunction(value)):
                continue
            yield f"{place}.{name}", value
            for method, function in vars(value).items() if inspect.isclass(value) else ():
                if inspect.isfunction(function) and not method.startswith("_"):
                    yield f"{place}.{name}.{method}", function


def test_every_public_name_has_a_docstring() -> None:
    names = dict(public())
    assert len(names) > 50
    assert [name for name, value in names.items() if not inspect.getdoc(value)] == []


def test_a_function_that_takes_or_returns_an_array_names_shapes() -> None:
    silent = []
    for name, value in public():
        types = map(str, getattr(value, "__annotations__", {}).values()) if inspect.isfunction(value) else ()
        # An iterable is a source of images, which its own type describes.
        arrays = any(ARRAY.search(text) and "Iterable" not in text for text in types)
        if arrays and not re.search(r"\[|\bshape\b|\bscalar\b", inspect.getdoc(value)):
            silent.append(name)
    assert silent == []


def test_a_function_that_refuses_input_says_so() -> None:
    silent = [
        name
        for name, value in public()
        if inspect.isfunction(value) and "raise UserError" in inspect.getsource(value)
        if "UserError" not in inspect.getdoc(value)
    ]
    assert silent == []


def test_it_builds_without_warnings(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path)], check=True, capture_output=True, cwd=tmp_path
    )
    for place in REFERENCE.PUBLIC:
        page = tmp_path / f"{place.replace('.', '/')}.html"
        assert page.exists(), place
    assert "load_model" in (tmp_path / "rbnn_deploy.html").read_text()
