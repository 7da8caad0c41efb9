"""From a deployed .onnx file to a folder with a web page."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rbnn_deploy.errors import UserError
from rbnn_deploy.exporters.c import GeneratedNetwork, Judge, generate
from rbnn_deploy.exporters.c.text import class_names
from rbnn_deploy.exporters.web.assembling import assemble, read
from rbnn_deploy.exporters.web.check_image import draw_check_image
from rbnn_deploy.exporters.web.compiling import compile_module, find_compiler
from rbnn_deploy.files import read_regular_file
from rbnn_deploy.folders import check_replaceable, replace_folder
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.text import printable
from rbnn_deploy.version import __version__

PAGE = "index.html"
# What a comparison needs of the folder `dist` of the npm package onnxruntime-web.
ONNXRUNTIME_WEB = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
FILES = (PAGE, "model.wasm", "model.mjs", "offline.js", "model.onnx", "onnxruntime-web")


@dataclass(frozen=True)
class WebExport:
    """What was written.

    Attributes:
        folder: Where.
        page_bytes: The page, which contains all that it needs.
        module_bytes: The WebAssembly module.
        network: What the module computes.
    """

    folder: Path
    page_bytes: int
    module_bytes: int
    network: GeneratedNetwork


def export_web(
    model: str | Path, folder: str | Path, judge: Judge, onnxruntime_web: str | Path | None = None
) -> WebExport:
    """Writes a deployed model as a web page.

    Args:
        model: The .onnx file.
        folder: To make; one that holds an earlier export, or nothing, is replaced.
        judge: Computes the logits that the page must give for its test image.
        onnxruntime_web: The folder `dist` of the npm package onnxruntime-web, for a page that can compare
            itself with it; its two files that are needed, and the model, then lie beside the page.

    Raises:
        UserError: The compiler is missing, the model cannot be read, has a node that has no C code or does
            not take images of 1 or 3 channels, or the folder cannot be written.
    """
    folder, model = Path(folder), Path(model)
    check_replaceable(folder, FILES)
    compiler = find_compiler()
    beside = {} if onnxruntime_web is None else _comparison_files(model, Path(onnxruntime_web))
    network = generate(model, vectors=True)
    metadata = _image_metadata(network, model)
    names = class_names(network.program, metadata)
    module = compile_module(network.files, len(names), compiler)
    facts = _facts(network, metadata, judge, module)
    page = assemble(metadata.architecture, facts, comparison=bool(beside))
    files = beside | {
        PAGE: page,
        "model.wasm": module,
        "model.mjs": read("model.mjs").encode(),
        "offline.js": read("offline.js").encode(),
    }
    replace_folder(folder, files)
    return WebExport(folder, len(page), len(module), network)


def _comparison_files(model: Path, dist: Path) -> dict[str, bytes]:
    """Returns the files that a comparison needs, by their places in the site."""
    for name in ONNXRUNTIME_WEB:
        if not (dist / name).is_file():
            raise UserError(
                f"{dist} has no {name}; name the folder node_modules/onnxruntime-web/dist, after "
                "`npm install onnxruntime-web`"
            )
    files = {
        f"onnxruntime-web/{name}": read_regular_file(dist / name, "onnxruntime-web")
        for name in ONNXRUNTIME_WEB
    }
    return files | {"model.onnx": read_regular_file(model, "the model")}


def _image_metadata(network: GeneratedNetwork, model: Path) -> ModelMetadata:
    """Returns the metadata of a model that takes images.

    Raises:
        UserError: It does not say how pixels are normalised, or has other channels than images.
    """
    shown = printable(str(model))
    metadata, shape = network.metadata, network.program.input_shape
    if metadata is None or metadata.input_shape != shape:
        raise UserError(f"{shown} does not say how images become its input; export it with rbnn-deploy")
    channels = shape[0]
    if channels not in (1, 3):
        raise UserError(
            f"{shown} takes {channels} channels, but images have 1 or 3; use --format c for other inputs"
        )
    return metadata


def _facts(network: GeneratedNetwork, metadata: ModelMetadata, judge: Judge, module: bytes) -> dict[str, Any]:
    """Returns what the page's script knows of the model."""
    from rbnn_deploy.data.preprocessing import normalise  # noqa: PLC0415 - loads Pillow

    shape = network.program.input_shape
    image = normalise(draw_check_image(shape), metadata.mean, metadata.std)[None]
    expected = np.ascontiguousarray(judge(image), np.float32).reshape(-1)
    about = {
        "network": metadata.architecture,
        "input": f"{shape[2]} x {shape[1]} pixels, {'grey' if shape[0] == 1 else 'RGB'}",
        "outputs": str(expected.size),
        "module": f"{len(module) / 1000:.1f} kB of WebAssembly, weights included",
        "made by": f"rbnn-deploy {__version__}",
    }
    return {
        "about": about,
        "resize": metadata.resize,
        "mean": list(metadata.mean or (0.0,) * shape[0]),
        "std": list(metadata.std or (1.0,) * shape[0]),
        "check": expected.view(np.uint32).tolist(),
        "wasm": base64.b64encode(module).decode(),
    }
