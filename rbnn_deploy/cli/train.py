"""`rbnn-deploy train`."""

import os
import shlex
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rbnn_deploy.cli.fields import replace_given, with_options_of
from rbnn_deploy.cli.network import (
    InputShapeOption,
    MeanOption,
    ModuleOption,
    StdOption,
    parse_input_shape,
    parse_numbers,
)
from rbnn_deploy.cli.output import JsonFile, check_writable, give_result, note, progress_bar
from rbnn_deploy.errors import UserError
from rbnn_deploy.input_image import InputImage
from rbnn_deploy.json_schema import with_schema
from rbnn_deploy.pytorch.training.options import TrainingOptions
from rbnn_deploy.pytorch.training.recipe import RECIPES, TrainingRecipe

if TYPE_CHECKING:
    from torch import nn

DIGITS = "digits"
# For images of a user's own network: nearly centred, and nearly of deviation 1, for most photographs.
OWN_MEAN, OWN_STD = 0.5, 0.25


def _recipe_values() -> dict[str, str]:
    """Returns each number of the recipes, for the command's help."""
    recipes = {recipe: asdict(by_family[""]) for recipe, by_family in RECIPES.items()}
    notes = {}
    for name in asdict(TrainingRecipe()):
        values = {recipe: numbers[name] for recipe, numbers in recipes.items() if numbers[name] is not None}
        alike = len(values) == len(recipes) and len(set(values.values())) == 1
        texts = map(str, set(values.values())) if alike else (f"{r}: {value}" for r, value in values.items())
        notes[name] = ", ".join(texts)
    return notes


@with_options_of(TrainingOptions, TrainingRecipe, notes=_recipe_values())
def train(
    out: Annotated[Path, typer.Option(help="Folder for the checkpoints, the log and the state.")],
    arch: Annotated[str | None, typer.Option(help="Architecture, e.g. cifar10/resnet20_bireal_1w1a.")] = None,
    module: ModuleOption = None,
    input_shape: InputShapeOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="A CIFAR download, or a folder of train/<class>/ and test/<class>/ or val/<class>/."
        ),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="'digits' is built in; other data sets are named with --data.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the training in --out.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Begin again, whatever training --out holds.")
    ] = False,
    recipe: Annotated[
        str,
        typer.Option(
            help="paper, or short for a training of few epochs. It sets the numbers below; beside each are "
            "those for CIFAR, and other data sets may have others."
        ),
    ] = "paper",
    json: JsonFile = None,
    **fields: Any,
) -> None:
    """Train a rotated binary network and write its checkpoint."""
    from rbnn_deploy import api

    api.require("train", "torch", "safetensors")
    if resume and overwrite:
        raise UserError("--resume continues the training that --overwrite would replace; give one of them")
    source = _source(data, dataset)
    if (arch is None) == (module is None):
        raise UserError("name the network with --arch, or your own with --module, one of the two")
    if module is None and (input_shape, mean, std) != (None, None, None):
        raise UserError("--input-shape, --mean and --std are for a network of your own, with --module")
    if json is not None:
        check_writable(json)
    import torch

    from rbnn_deploy.cli.training_lines import run_training
    from rbnn_deploy.pytorch.networks import build_network
    from rbnn_deploy.pytorch.training import get_recipe, load_training_data
    from rbnn_deploy.pytorch.training.parallel import process_group
    from rbnn_deploy.pytorch.training.placement import torch_device

    options = replace_given(TrainingOptions(), fields)
    name = str(arch or module)
    numbers = replace_given(get_recipe(recipe, name), fields)
    device = torch_device(options)
    is_main = int(os.environ.get("RANK", "0")) == 0  # as torchrun sets it
    if is_main and device.type == "cpu" and torch.cuda.is_available():
        note("note: this trains on the processor; the GPU is used with --device cuda")
    with progress_bar(1000, "reading images") if is_main else nullcontext(lambda _: None) as advance:
        done = 0

        def progress(count: int, total: int) -> None:
            nonlocal done
            step = 1000 * count // total - done
            done += step
            if step:
                advance(step)

        taken = arch or _own_images(input_shape, mean, std)
        images = load_training_data(source, taken, progress=progress, device=device)
    torch.manual_seed(numbers.seed)
    classes = len(images.class_names)
    network = build_network(arch, classes) if arch else _own_network(name, images.input_shape, classes)
    with process_group(device):
        if is_main and numbers.warmup_epochs >= numbers.epochs:
            note(
                f"note: the learning rate rises over {numbers.warmup_epochs:g} epochs, so it will not fall "
                f"in {numbers.epochs}; see --warmup-epochs"
            )
        history = run_training(
            network, images, numbers, out, name, options, resume=resume, overwrite=overwrite
        )
    if not is_main:
        return
    best = max(result.test_accuracy for result in history)
    names = (out / "best.pt", out / "model.onnx", source)
    checkpoint, model, tested = (shlex.quote(str(name)) for name in names)
    own = "" if module is None else f" --module {shlex.quote(module)}"
    lines = [
        f"best test accuracy {best:.2%}; next:",
        f"  rbnn-deploy export {checkpoint}{own} -o {model}",
        f"  rbnn-deploy compare {model} --checkpoint {checkpoint}{own} --data {tested}",
    ]
    content = {
        "architecture": name,
        "best_test_accuracy": best,
        "best_checkpoint": str(out / "best.pt"),
        "last_checkpoint": str(out / "last.pt"),
        "epochs": [asdict(result) for result in history],
    }
    give_result("\n".join(lines), with_schema("train", content), json)


def _source(data: str | None, dataset: str | None) -> str:
    """Returns the one data set that was named."""
    if data is not None and dataset is not None:
        raise UserError("--data and --dataset both name the images; give one of them")
    source = data if data is not None else dataset
    if source is None:
        raise UserError(f"name the images with --data, or use --dataset {DIGITS}, which is built in")
    if data is None and dataset != DIGITS:
        raise UserError(f"the images of {dataset} are not built in; name their folder or archive with --data")
    return source


def _own_images(input_shape: str | None, mean: str | None, std: str | None) -> InputImage:
    """Returns the images of a user's own network."""
    if input_shape is None:
        raise UserError("a network of your own does not tell its input's shape; give --input-shape C,H,W")
    shape = parse_input_shape(input_shape)
    return InputImage(
        shape,
        parse_numbers(mean, "--mean") or (OWN_MEAN,) * shape[0],
        parse_numbers(std, "--std") or (OWN_STD,) * shape[0],
    )


def _own_network(name: str, input_shape: tuple[int, int, int], classes: int) -> "nn.Module":
    """Builds a user's own network, and checks that it has a logit for every class."""
    from rbnn_deploy.pytorch.checkpoints.own_network import count_classes
    from rbnn_deploy.pytorch.module_inputs import images
    from rbnn_deploy.pytorch.networks.own import build_own_network

    network = build_own_network(name)
    logits = count_classes(network.eval(), images(input_shape))
    if logits is None or logits < classes:
        found = "no row of logits per image" if logits is None else f"{logits} logits"
        raise UserError(
            f"{name} returns {found}, and the images are of {classes} classes; build it with {classes} logits"
        )
    return network.train()
