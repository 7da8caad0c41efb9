"""Replaces modules inside a network; one that is used under several names stays shared."""

from collections.abc import Callable

from torch import nn


def replace_modules(network: nn.Module, make: Callable[[str, nn.Module], nn.Module | None]) -> nn.Module:
    """Replaces modules in place.

    Args:
        network: The network.
        make: Called with the name and each module once; returns what takes its place, whose own modules are
            not visited, or None where it stays.

    Returns:
        The network, or what took its place.
    """
    done: dict[nn.Module, nn.Module | None] = {}

    def visit(name: str, module: nn.Module) -> nn.Module:
        if module not in done:
            done[module] = make(name, module)
            if done[module] is None:
                for child_name, child in list(module._modules.items()):
                    if child is not None:
                        setattr(
                            module, child_name, visit(f"{name}.{child_name}" if name else child_name, child)
                        )
        return done[module] or module

    return visit("", network)
