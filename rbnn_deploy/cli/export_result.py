"""The result of `rbnn-deploy export`, as text and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rbnn_deploy.cli.output import give_result
from rbnn_deploy.json_schema import with_schema

if TYPE_CHECKING:
    from rbnn_deploy.exporters.onnx import ExportResult
    from rbnn_deploy.exporters.qonnx import ImportResult


def tell_result(result: ExportResult | ImportResult, found: str, *, explain: bool, json: Path | None) -> None:
    """Gives the result of an export.

    Args:
        result: The result.
        found: What was done with which layers, for the first line.
        explain: Whether the notes of the passes are printed.
        json: See `give_result`.
    """
    from rbnn_deploy.exporters.onnx.passes.result import render_notes
    from rbnn_deploy.inspecting import format_bytes

    nodes = sorted(result.nodes.items(), key=lambda item: -item[1])
    lines = [
        f"{found}, {sum(layer.weights for layer in result.layers):,} one-bit weights",
        *([render_notes(result.notes)] if explain else []),
        f"graph: {', '.join(f'{count} {name}' for name, count in nodes)}",
        f"wrote {result.path}: {format_bytes(result.size)}",
    ]
    content = {
        "path": str(result.path),
        "size": result.size,
        "layers": [
            {"name": layer.name, "weights": layer.weights, "zeros": layer.zeros} for layer in result.layers
        ],
        "nodes": result.nodes,
        "int8_layers": list(result.int8_layers),
        "notes": [asdict(entry) for entry in result.notes],
    }
    give_result("\n".join(lines), with_schema("export", content), json)
