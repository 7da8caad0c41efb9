"""`rbnn-deploy train`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from rbnn_deploy.cli.output import progress_bar
from rbnn_deploy.cli.recipe import chosen, with_recipe_options
from rbnn_deploy.errors import UserError

DIGITS = "digits"


@with_recipe_options
def train(
    arch: Annotated[str, typer.Option(help="Architecture, e.g. cifar10/resnet20_bireal_1w1a.")],
    out: Annotated[Path, typer.Option(help="Folder for the checkpoints and the log.")],
    data: Annotated[
        str | None,
        typer.Option(
            help="A CIFAR download, or a folder of train/<class>/ and test/<class>/ or val/<class>/."
        ),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="'digits' is built in; other data sets are named with --data.")
    ] = None,
    recipe: Annotated[
        str, typer.Option(help="paper, or short for a training of few epochs; its numbers are below.")
    ] = "paper",
    device: Annotated[str, typer.Option(help="cpu, cuda, ...")] = "cpu",
    **numbers: Any,
) -> None:
    """Train a rotated binary network and write its checkpoint."""
    from rbnn_deploy import api

    api.require("train", "torch")
    source = data if data is not None else dataset
    if source is None:
        raise UserError(f"name the images with --data, or use --dataset {DIGITS}, which is built in")
    if data is None and dataset != DIGITS:
        raise UserError(f"the images of {dataset} are not built in; name their folder or archive with --data")
    import torch

    from rbnn_deploy.cli.training import run_training
    from rbnn_deploy.networks import build_network
    from rbnn_deploy.training import get_recipe, load_training_data

    plan = replace(get_recipe(recipe, arch), **chosen(numbers))
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        raise UserError(f"there is no device {device!r} here; use --device cpu") from None
    with progress_bar(1000, "reading images") as advance:
        done = 0

        def progress(count: int, total: int) -> None:
            nonlocal done
            step = 1000 * count // total - done
            done += step
            if step:
                advance(step)

        images = load_training_data(source, arch, progress=progress)
    torch.manual_seed(plan.seed)
    network = build_network(arch, len(images.class_names))
    history = run_training(network, images, plan, out, arch, device)
    best = max(result.test_accuracy for result in history)
    typer.echo(f"best test accuracy {best:.2%}; next: rbnn-deploy export {out / 'best.pt'} -o model.onnx")
