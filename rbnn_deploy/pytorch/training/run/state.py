"""The whole state of a training between two steps, as a file holds it.

It is a dict of numbers, strings, tensors, lists and dicts, which `torch.load` reads without running code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.training.parallel import Processes
from rbnn_deploy.pytorch.training.recipe import TrainingRecipe

VERSION = 2
State = dict[str, Any]


@dataclass(frozen=True)
class Identity:
    """The facts that must be the same for a training to be continued.

    Attributes:
        architecture: Name of the network.
        recipe: Its numbers.
        data: The data set's digest.
        classes: Number of its classes; None if unknown.
        steps: Steps of an epoch.
        processes: How many train.
    """

    architecture: str
    recipe: TrainingRecipe
    data: str
    classes: int | None
    steps: int
    processes: int

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values."""
        return asdict(self)

    def check(self, stored: Mapping[str, Any]) -> None:
        """Checks that a state belongs to this training.

        Args:
            stored: The result of `to_dict` when it was saved.

        Raises:
            UserError: It does not.
        """
        own = self.to_dict()
        recipe, stored_recipe = own.pop("recipe"), stored.get("recipe", {})
        # The data set's digest tells a reader less than any other difference, so it comes last.
        own["data"] = own.pop("data")
        pairs = [
            *((name, recipe.get(name), stored_recipe.get(name)) for name in {**recipe, **stored_recipe}),
            *((name, value, stored.get(name)) for name, value in own.items()),
        ]
        for name, now, then in pairs:
            if now == then:
                continue
            if name == "data":
                raise UserError("it was begun with other images; name the same, or train into another folder")
            raise UserError(
                f"it was begun with {name} {then}, and this is {now}; use the same, or another folder"
            )


def random_states(
    processes: Processes, device: torch.device, generators: Sequence[torch.Generator] = ()
) -> dict[str, Tensor]:
    """Returns the states of PyTorch's generators, of all processes: uint8 [processes, ...] on the CPU.

    Args:
        processes: Who trains.
        device: Where.
        generators: More generators than PyTorch's global ones.
    """
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    states |= {_generator_key(index): generator.get_state() for index, generator in enumerate(generators)}
    # NCCL takes only tensors on a GPU.
    return {name: processes.gather(state.to(device)).cpu() for name, state in states.items()}


def set_random_states(
    states: Mapping[str, Tensor],
    processes: Processes,
    device: torch.device,
    generators: Sequence[torch.Generator] = (),
) -> None:
    """Sets PyTorch's generators of this process to the states that `random_states` returned.

    Raises:
        UserError: There are other generators than there were.
    """
    expected = {_generator_key(index) for index in range(len(generators))}
    if expected != states.keys() - {"cpu", "cuda"}:
        raise UserError("its loaders had other generators; give them as before, or train into another folder")
    for index, generator in enumerate(generators):
        generator.set_state(states[_generator_key(index)][processes.rank].clone())
    # Cloned: of a part of a tensor, torch takes the bytes from the tensor's beginning.
    torch.set_rng_state(states["cpu"][processes.rank].clone())
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"][processes.rank].clone(), device)


def _generator_key(index: int) -> str:
    return f"generator {index}"


def load_module(module: nn.Module, optimizer: torch.optim.Optimizer, state: State) -> None:
    """Puts the parameters, buffers and momenta of a state into a module and its optimizer.

    Raises:
        UserError: They do not fit.
    """
    try:
        module.load_state_dict(state["module"])
        optimizer.load_state_dict(state["optimizer"])
    except (KeyError, RuntimeError, ValueError):
        raise UserError("it holds another network; build the same, or train into another folder") from None
