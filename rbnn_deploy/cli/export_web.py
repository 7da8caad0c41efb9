"""`rbnn-deploy export --format web`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rbnn_deploy.cli.export_c import check_json, deployed
from rbnn_deploy.cli.output import give_result
from rbnn_deploy.json_schema import with_schema


def export_to_web(
    source: Path,
    folder: Path,
    to_onnx: Callable[[Path], object] | None,
    onnxruntime_web: Path | None,
    json: Path | None,
) -> None:
    """Writes a deployed model, or a checkpoint by way of one, as a web page.

    Args:
        source: The file.
        folder: To make.
        to_onnx: Exports the checkpoint `source` to an .onnx file; None if `source` is one.
        onnxruntime_web: As the option.
        json: Also written; see `give_result`.

    Raises:
        UserError: See `rbnn_deploy.api.export_web`, or the JSON file cannot be written.
    """
    from rbnn_deploy import api
    from rbnn_deploy.inspecting import format_bytes

    check_json(json, source, folder)
    with deployed(source, to_onnx) as model:
        result = api.export_web(model, folder, onnxruntime_web)
    served = f"python -m http.server --directory {folder}"
    lines = [
        f"module: {format_bytes(result.module_bytes)} of WebAssembly, weights included",
        f"page: {format_bytes(result.page_bytes)}, with the module in it",
        f"wrote {folder}: open {folder / 'index.html'} in a browser"
        + ("" if onnxruntime_web is None else f"; to compare, `{served}` and http://localhost:8000"),
    ]
    content = {
        "path": str(folder),
        "files": sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()),
        "input_shape": list(result.network.program.input_shape),
        "outputs": result.network.program.output.count,
        "module": result.module_bytes,
        "page": result.page_bytes,
    }
    give_result("\n".join(lines), with_schema("export-web", content), json)
