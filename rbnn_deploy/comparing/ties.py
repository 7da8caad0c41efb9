"""Inputs of binary layers that are exactly their threshold: one bit has to take them for +1 or -1."""

from collections.abc import Mapping, Sequence

from rbnn_deploy.comparing.report import LayerReport

SHOWN_LAYERS = 3


def describe_ties(layers: Sequence[LayerReport], signs_of_zero: Mapping[str, int]) -> str | None:
    """Says where published code would take inputs for something else than a deployed bit does.

    Args:
        layers: The layers, with the number of inputs on their threshold.
        signs_of_zero: By layer, what its method's published code takes for the sign of such an input.

    Returns:
        A clause, or None where no input is on the threshold of a layer whose method's code does not take +1.
    """
    # A layer that a network calls twice has two names in a file: "conv" and "conv#2".
    differing = [x for x in layers if x.on_threshold and signs_of_zero.get(x.name.split("#")[0], 1) != 1]
    if not differing:
        return None
    differing.sort(key=lambda layer: -layer.on_threshold)
    shown = [f"{layer.name}: {layer.on_threshold}" for layer in differing[:SHOWN_LAYERS]]
    more = len(differing) - SHOWN_LAYERS
    ties, inputs = sum(x.on_threshold for x in differing), sum(x.bits for x in layers)
    (value, *others) = sorted({signs_of_zero[layer.name.split("#")[0]] for layer in differing})
    taken = f"{value}" if not others else "something else"
    return (
        f"{ties} of {inputs} inputs of binary layers are exactly their threshold ({', '.join(shown)}"
        f"{f', and {more} more layers' if more > 0 else ''}); one bit takes them as +1, and the method's "
        f"published code as {taken}, so its results may differ from these"
    )
