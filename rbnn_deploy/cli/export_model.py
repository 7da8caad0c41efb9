"""`rbnn-deploy export` of a model in place of a checkpoint: to C, to a web page, or from QONNX."""

from __future__ import annotations

from pathlib import Path

from rbnn_deploy.cli.export_c import export_to_c
from rbnn_deploy.cli.export_result import tell_result
from rbnn_deploy.cli.export_web import export_to_web
from rbnn_deploy.cli.network import parse_numbers
from rbnn_deploy.errors import UserError

FOLDERS = ("c", "web")  # formats that are made of a deployed model and are folders


def export_model(
    source: Path,
    output: Path,
    target: str,
    wrong: list[str],
    *,
    mean: str | None,
    std: str | None,
    labels: Path | None,
    opset: int,
    check: bool,
    explain: bool,
    json: Path | None,
    onnxruntime_web: Path | None,
) -> None:
    """Exports a file that is no checkpoint.

    Args:
        source: The file.
        output: What to write.
        target: The format.
        wrong: Options that were given and that only a checkpoint has.
        mean: As the option.
        std: As the option.
        labels: As the option.
        opset: As the option.
        check: As the option.
        explain: As the option.
        json: As the option.
        onnxruntime_web: As the option.

    Raises:
        UserError: The options do not fit, or see `rbnn_deploy.api.export_c`, `export_web` and
            `import_qonnx`.
    """
    from rbnn_deploy import api
    from rbnn_deploy.classes import read_class_names

    if target == "qonnx":
        raise UserError(f"{source} is a model already; name the checkpoint that it was made of")
    if target in FOLDERS and (mean or std or labels):
        wrong = [*wrong, "--mean, --std or --labels"]
    if wrong:
        kind = "deployed model" if target in FOLDERS else "model"
        raise UserError(f"{source} is a {kind}, which takes no {' and no '.join(wrong)}; leave that out")
    if target == "c":
        export_to_c(source, output, None, json)
        return
    if target == "web":
        export_to_web(source, output, None, onnxruntime_web, json)
        return
    result = api.import_qonnx(
        source,
        output,
        mean=parse_numbers(mean, "--mean"),
        std=parse_numbers(std, "--std"),
        class_names=None if labels is None else tuple(read_class_names(labels)),
        opset=opset,
        check=check,
    )
    tell_result(result, f"read {len(result.layers)} binary layers", explain=explain, json=json)
