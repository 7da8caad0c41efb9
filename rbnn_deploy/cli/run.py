"""`rbnn-deploy run`."""

from pathlib import Path
from typing import Annotated

import typer

from rbnn_deploy.cli.output import note
from rbnn_deploy.errors import UserError
from rbnn_deploy.models import EMBEDDED_MODEL

TOP = 5
BATCH = 16  # bounds the memory, however many images there are


def run(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="[MODEL.onnx] IMAGE...",
            help="A deployed model and images; without a model, the embedded one for CIFAR-10's classes.",
        ),
    ],
    runtime: Annotated[str, typer.Option(help="ort, ort-portable or numpy.")] = "ort",
    threads: Annotated[int | None, typer.Option(help="Computing threads.")] = None,
) -> None:
    """Classify images with a deployed model and show the five most probable classes."""
    model, images = _split(files)
    import numpy as np

    from rbnn_deploy import api
    from rbnn_deploy.data import load_image, preprocessing_of

    loaded = api.load_model(model, runtime=runtime, threads=threads)
    metadata = loaded.metadata
    if metadata is None:
        raise UserError(f"{model} does not say how images become its input; run a file that `export` wrote")
    prepare = preprocessing_of(metadata)
    parts = [
        loaded.run(np.stack([prepare(load_image(path)) for path in images[start : start + BATCH]]))
        for start in range(0, len(images), BATCH)
    ]
    logits = np.concatenate(parts).astype(np.float64)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    names = metadata.class_names
    if names is None or len(names) != logits.shape[1]:
        names = tuple(str(i) for i in range(logits.shape[1]))
    for path, row in zip(images, probabilities, strict=True):
        order = np.argsort(-row, kind="stable")[:TOP]
        typer.echo(f"{path}: " + ", ".join(f"{names[i]} {row[i]:.1%}" for i in order))


def _split(files: list[Path]) -> tuple[Path, list[Path]]:
    """Tells the model from the images; the embedded model where none is named."""
    if files[0].suffix == ".onnx":
        if len(files) == 1:
            raise UserError(f"there is no image to classify; name some after {files[0]}")
        return files[0], files[1:]
    note(f"with the embedded model {EMBEDDED_MODEL.stem}, since no .onnx file comes first")
    return EMBEDDED_MODEL, files
