"""The output of a user's module: its logits, or a list or a dict around them."""

from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves

from rbnn_deploy.errors import UserError


def only_tensor(returned: Any) -> Tensor:
    """Returns the one tensor in what a module returned, which may be a list or a dict around it.

    Raises:
        UserError: It holds another number of tensors.
    """
    leaves = tree_leaves(returned)
    if len(leaves) != 1 or not isinstance(leaves[0], Tensor):
        kinds = ", ".join(type(leaf).__name__ for leaf in leaves[:3]) + (", ..." if len(leaves) > 3 else "")
        raise UserError(
            f"the module returns {type(returned).__name__} of {kinds or 'nothing'}; "
            "let it return its logits alone"
        )
    return leaves[0]
