"""Runs JavaScript in Node.js, and pages in a browser without a window; finds what that needs, or skips."""

import functools
import importlib.util
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import onnx
import pytest
from support.paths import ROOT

from rbnn_deploy.api import export_web
from rbnn_deploy.exporters.web import WebExport

needs_zig = pytest.mark.skipif(
    importlib.util.find_spec("ziglang") is None, reason="ziglang is not installed; run: pip install ziglang"
)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# `make onnxruntime-web` makes it.
ONNXRUNTIME_WEB = ROOT / "build" / "npm" / "node_modules" / "onnxruntime-web" / "dist"


def write_site(model: onnx.ModelProto | Path, folder: Path, onnxruntime_web: Path | None = None) -> WebExport:
    """Exports a model, beside which it is stored, to the folder `site`."""
    path = model if isinstance(model, Path) else folder / "model.onnx"
    if not isinstance(model, Path):
        onnx.save(model, path)
    return export_web(path, folder / "site", onnxruntime_web)


def run_node(script: str, given: Any, folder: Path) -> Any:
    """Runs a module in Node.js.

    Args:
        script: JavaScript, in which `given` is defined and which assigns to `result`.
        given: For json.dumps.
        folder: Where to write it.
    """
    program = folder / "script.mjs"
    (folder / "given.json").write_text(json.dumps(given))
    program.write_text(
        'import { readFileSync, writeFileSync } from "node:fs";\n'
        f"const given = JSON.parse(readFileSync({json.dumps(str(folder / 'given.json'))}));\n"
        f"let result;\n{script}\nwriteFileSync(1, JSON.stringify(result));\n"
    )
    done = subprocess.run([find_node(), program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def find_node() -> Path:
    """Returns Node.js: the system's, or the one that the package playwright brings."""
    found = shutil.which("node")
    if found is not None:
        return Path(found)
    package = importlib.util.find_spec("playwright")
    if package is None or package.origin is None:
        pytest.skip("Node.js is not here; install nodejs, or: pip install playwright")
    return Path(package.origin).with_name("driver") / "node"


def find_onnxruntime_web() -> Path:
    """Returns the folder dist of npm's package onnxruntime-web, or skips."""
    folder = Path(os.environ.get("ONNXRUNTIME_WEB", ONNXRUNTIME_WEB))
    if not folder.is_dir():
        pytest.skip("onnxruntime-web is not here; run `make onnxruntime-web`, or set ONNXRUNTIME_WEB")
    return folder


@contextmanager
def browser(**options: Any) -> Iterator[Any]:
    """Starts a browser without a window, or skips; gives playwright's context.

    Args:
        options: Of the context, such as viewport.
    """
    programs = [found for name in BROWSERS if (found := shutil.which(name))]
    if not programs:
        pytest.skip("no browser is here; install the package chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="run: pip install playwright")
    # A sandbox needs rights that a container has not; the camera is one that the browser draws.
    arguments = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with playwright.sync_playwright() as p:
        program = p.chromium.launch(executable_path=programs[0], args=arguments)
        try:
            yield program.new_context(**options)
        finally:
            program.close()


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serves a folder on this host; gives its address."""
    handler = functools.partial(_QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


class _QuietHandler(SimpleHTTPRequestHandler):
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript"}

    def log_message(self, *_: object) -> None:
        """Says nothing."""
