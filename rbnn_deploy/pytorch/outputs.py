"""The outputs of a user's module: a tensor, or lists, tuples and dicts of tensors, and a name for each.

A tensor in a dict is named by its key, one in a tuple by its position, `output_0`; parts of longer paths are
joined by dots, `boxes.0`. The only tensor is called `logits`. What is None has no name and is left out.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.utils import _pytree as pytree

from rbnn_deploy.errors import UserError

OUTPUT = "logits"


def tensors(returned: Any) -> list[Tensor]:
    """Returns the tensors in what a module returned, in their order.

    Raises:
        UserError: It holds none, or something that is neither a tensor nor None.
    """
    leaves = [leaf for leaf in pytree.tree_leaves(returned) if leaf is not None]
    if not leaves or not all(isinstance(leaf, Tensor) for leaf in leaves):
        kinds = ", ".join(type(leaf).__name__ for leaf in leaves[:3]) + (", ..." if len(leaves) > 3 else "")
        raise UserError(
            f"the module returns {type(returned).__name__} of {kinds or 'nothing'}; "
            "let it return tensors, alone or in tuples and dicts"
        )
    return leaves


def name_outputs(structure: pytree.TreeSpec, present: Sequence[bool]) -> list[str]:
    """Names the tensors that a module returns.

    Args:
        structure: Of what it returns.
        present: Whether each leaf is a tensor.

    Returns:
        One name for each that is.
    """
    leaves = pytree.tree_unflatten(list(range(structure.num_leaves)), structure)
    paths, _ = pytree.tree_flatten_with_path(leaves)
    names = [_name(path) for (path, _), there in zip(paths, present, strict=True) if there]
    return [OUTPUT] if len(names) == 1 else names


def _name(path: Sequence[Any]) -> str:
    parts = [str(getattr(key, "key", getattr(key, "idx", getattr(key, "name", key)))) for key in path]
    return ".".join(
        ["output_" + parts[0] if parts and parts[0].isdecimal() else "".join(parts[:1]), *parts[1:]]
    )
