"""`rbnn-deploy export --format c`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import typer


def export_to_c(source: Path, folder: Path, to_onnx: Callable[[Path], object] | None) -> None:
    """Writes a deployed model, or a checkpoint by way of one, as C, and says what memory it takes.

    Args:
        source: The file.
        folder: To make.
        to_onnx: Exports the checkpoint `source` to an .onnx file; None if `source` is one.

    Raises:
        UserError: See `rbnn_deploy.api.export_c`.
    """
    from rbnn_deploy import api
    from rbnn_deploy.inspecting import format_bytes

    with tempfile.TemporaryDirectory() as temporary:
        model = source
        if to_onnx is not None:
            model = Path(temporary) / f"{source.name}.onnx"
            to_onnx(model)
        result = api.export_c(model, folder)
    typer.echo(f"layers: {result.layers} calls")
    typer.echo(f"weights: {format_bytes(result.weight_bytes)}, constant")
    typer.echo(f"memory of all layers: {format_bytes(result.arena_bytes)}, static")
    if result.image_bytes:
        typer.echo(f"and {format_bytes(result.image_bytes)} if model_run_image is used")
    typer.echo(f"wrote {result.folder}: test it with `make -C {result.folder} check`")
