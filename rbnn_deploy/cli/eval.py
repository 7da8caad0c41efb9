"""`rbnn-deploy eval`."""

from pathlib import Path
from typing import Annotated

import typer

from rbnn_deploy.cli.output import JsonFile, check_writable, give_result, progress_bar
from rbnn_deploy.errors import UserError


def evaluate(
    model: Annotated[Path, typer.Argument(help="A deployed .onnx file.")],
    data: Annotated[
        str,
        typer.Option(
            help="Test images: a CIFAR download, a folder of test/<class>/ or val/<class>/, or 'digits'."
        ),
    ],
    samples: Annotated[
        int | None, typer.Option(help="Use this many images, spread over the classes.")
    ] = None,
    runtime: Annotated[str, typer.Option(help="ort, ort-portable or numpy.")] = "ort",
    threads: Annotated[int | None, typer.Option(help="Computing threads.")] = None,
    json: JsonFile = None,
) -> None:
    """Measure the accuracy of a deployed model in one runtime, in all and per class."""
    from rbnn_deploy import api, classifying
    from rbnn_deploy.classes import check_image_classifier
    from rbnn_deploy.cli.samples import test_samples

    if json is not None:
        check_writable(json, model)
    loaded = api.load_model(model, runtime=runtime, threads=threads)
    check_image_classifier(loaded.path, loaded.signature)
    source = test_samples(model, data, samples)
    if source.labels is None:
        raise UserError(
            f"the classes of {data} are not those of {model}; use the data that it was trained on"
        )
    with progress_bar(source.count, "evaluating") as advance:
        report = classifying.evaluate(loaded, source.batches(advance), source.labels)
    give_result(report.to_text(), report.to_json(), json)
