"""`rbnn-deploy export --format c`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rbnn_deploy.cli.output import STDOUT, check_writable, give_result
from rbnn_deploy.errors import UserError
from rbnn_deploy.json_schema import with_schema


def export_to_c(
    source: Path, folder: Path, to_onnx: Callable[[Path], object] | None, json: Path | None
) -> None:
    """Writes a deployed model, or a checkpoint by way of one, as C, and says what memory it takes.

    Args:
        source: The file.
        folder: To make.
        to_onnx: Exports the checkpoint `source` to an .onnx file; None if `source` is one.
        json: Also written; see `give_result`.

    Raises:
        UserError: See `rbnn_deploy.api.export_c`, or the JSON file cannot be written.
    """
    from rbnn_deploy import api
    from rbnn_deploy.inspecting import format_bytes

    check_json(json, source, folder)
    with deployed(source, to_onnx) as model:
        result = api.export_c(model, folder)
    image = [f"and {format_bytes(result.image_bytes)} if model_run_image is used"]
    lines = [
        f"layers: {result.layers} calls",
        f"weights: {format_bytes(result.weight_bytes)}, constant",
        f"memory of all layers: {format_bytes(result.arena_bytes)}, static",
        *(image if result.image_bytes else []),
        f"wrote {result.folder}: test it with `make -C {result.folder} check`",
    ]
    content = {
        "path": str(result.folder),
        "files": sorted(path.name for path in result.folder.iterdir()),
        "input_shape": list(result.program.input_shape),
        "outputs": result.program.output.count,
        "calls": result.layers,
        "weights": result.weight_bytes,
        "memory": result.arena_bytes,
        "image_memory": result.image_bytes,
    }
    give_result("\n".join(lines), with_schema("export-c", content), json)


def check_json(json: Path | None, source: Path, folder: Path) -> None:
    """Checks that a result as JSON can be written, and not into the folder that is about to be replaced.

    Raises:
        UserError: It cannot.
    """
    if json is None:
        return
    if json != STDOUT and json.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"{json} is in the folder that the export replaces; name a file outside of it")
    check_writable(json, source)


@contextmanager
def deployed(source: Path, to_onnx: Callable[[Path], object] | None) -> Iterator[Path]:
    """Gives the path of a deployed model: `source` itself, or what a checkpoint is exported to.

    Args:
        source: The file.
        to_onnx: Exports the checkpoint `source` to an .onnx file; None if `source` is one.
    """
    if to_onnx is None:
        yield source
        return
    with tempfile.TemporaryDirectory() as temporary:
        model = Path(temporary) / f"{source.name}.onnx"
        to_onnx(model)
        yield model
