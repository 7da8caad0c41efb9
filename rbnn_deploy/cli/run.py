"""`rbnn-deploy run`."""

import sys
import time
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from rbnn_deploy.cli.output import (
    STDOUT,
    JsonFile,
    check_writable,
    note,
    print_json,
    progress_bar,
    write_json,
)
from rbnn_deploy.errors import UserError
from rbnn_deploy.json_schema import with_schema
from rbnn_deploy.models import EMBEDDED_MODEL
from rbnn_deploy.text import printable


def run(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="[MODEL.onnx] IMAGE...",
            help="A deployed model, and images: files, folders, patterns, .npy arrays, or - for standard "
            "input. Without a model, the embedded one for CIFAR-10's classes.",
        ),
    ],
    runtime: Annotated[str, typer.Option(help="ort, ort-portable or numpy.")] = "ort",
    threads: Annotated[int | None, typer.Option(help="Computing threads.")] = None,
    top: Annotated[int, typer.Option(help="How many classes are shown per image.")] = 5,
    labels: Annotated[
        Path | None, typer.Option(help="Text file with the name of one class per line, in their order.")
    ] = None,
    json: JsonFile = None,
) -> None:
    """Classify images with a deployed model and show the most probable classes."""
    model, images = _split(files)
    if top < 1:
        raise UserError(f"--top shows at least 1 class, not {top}; give a positive number")
    if json is not None:
        check_writable(json, model, *map(Path, images), *([] if labels is None else [labels]))
    from rbnn_deploy import api
    from rbnn_deploy.classes import check_image_classifier, read_class_names
    from rbnn_deploy.cli.samples import note_normalisation
    from rbnn_deploy.data.sources import image_sources
    from rbnn_deploy.runtimes.predicting import predicted_batches

    given = None if labels is None else read_class_names(labels)
    loaded = api.load_model(model, runtime=runtime, threads=threads)
    check_image_classifier(loaded.path, loaded.signature)
    if loaded.metadata is not None:
        note_normalisation(model, loaded.metadata)
    sources = image_sources(images, sys.stdin.buffer.read)
    results: list[dict[str, Any]] = []
    computing = 0.0
    begin = time.perf_counter()
    # Where the lines of the images themselves are seen to arrive, a bar would only be in their way.
    silent = json != STDOUT and sys.stdout.isatty()
    with nullcontext(_ignore) if silent else progress_bar(len(sources), "classifying") as advance:
        for batch in predicted_batches(loaded, sources, top, given):
            computing += batch.seconds
            for found in batch.predictions:
                results.append(asdict(found))
                if json != STDOUT:
                    shown = ", ".join(f"{printable(c.name)} {_percent(c.probability)}" for c in found.classes)
                    typer.echo(f"{printable(found.image)}: {shown}")
            advance(len(batch.predictions))
    seconds = time.perf_counter() - begin
    rate = len(results) / seconds
    content = {
        "model": str(model),
        "runtime": loaded.name,
        "images": results,
        "seconds": seconds,
        "model_seconds": computing,
        "images_per_second": rate,
    }
    if json == STDOUT:
        print_json(with_schema("run", content))
    elif json is not None:
        write_json(json, with_schema("run", content))
    images_text = f"{len(results)} image{'s' if len(results) > 1 else ''}"
    note(f"{images_text} in {seconds:.2f} s, {rate:,.0f} images/s; {computing:.2f} s of it in the model")


def _ignore(_: int) -> None:
    pass


def _percent(probability: float | None) -> str:
    return "?" if probability is None else f"{probability:.1%}"


def _split(files: list[str]) -> tuple[Path, list[str]]:
    """Tells the model from the images; the embedded model where none is named."""
    if Path(files[0]).suffix == ".onnx":
        if len(files) == 1:
            raise UserError(f"there is no image to classify; name some after {files[0]}")
        return Path(files[0]), files[1:]
    note(f"with the embedded model {EMBEDDED_MODEL.stem}, since no .onnx file comes first")
    return EMBEDDED_MODEL, files
