"""A user's own network by name, `package.module:name`; its code is imported and run.

Only a user's own argument names code to import: what a checkpoint says of its network is never followed.
"""

import importlib
import sys
from pathlib import Path
from typing import Any

from torch import nn

from rbnn_deploy.errors import UserError

FORM = "package.module:name"


def build_own_network(name: str) -> nn.Module:
    """Imports somebody's module and builds the network in it; the current folder's modules come first.

    Args:
        name: `package.module:name`, where the name is that of a class or function that needs no argument and
            returns the network, or of a network.

    Raises:
        UserError: The name is of another form, there is nothing of that name, its code fails, or what it
            returns is no network.
    """
    module_name, colon, attribute = name.partition(":")
    if not colon or not all(part.isidentifier() for part in (*module_name.split("."), *attribute.split("."))):
        hint = ", without .py and slashes" if "/" in name or ".py" in name else ""
        raise UserError(f"{name!r} names no network; write {FORM}{hint}, such as mypkg.nets:build")
    here = str(Path.cwd())
    if here not in sys.path:  # the script `rbnn-deploy` has its own folder there; `python` has this one
        sys.path.insert(0, here)
    found: Any = _run(name, lambda: importlib.import_module(module_name))
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise UserError(f"{module_name} has no {attribute}; name a class or function that builds it")
        found = getattr(found, part)
    if not isinstance(found, nn.Module) and callable(found):
        found = _run(name, found)
    if not isinstance(found, nn.Module):
        raise UserError(
            f"{name} gives a {type(found).__name__}; name what builds a torch.nn.Module without arguments"
        )
    return found


def _run(name: str, code: Any) -> Any:
    try:
        return code()
    except Exception as error:  # whatever a user's code raises
        cause = (str(error).strip().splitlines() or [""])[0]
        raise UserError(
            f"{name} failed with {type(error).__name__}{f' ({cause})' if cause else ''}; mend it, or run the "
            "command in the folder that its package is in"
        ) from error
