"""How much a state dict looks like a network's, for the message that refuses it."""

from collections import Counter
from collections.abc import Iterable, Mapping

Shapes = Mapping[str, tuple[int, ...]]


def likeness(shapes: Shapes, expected: Shapes) -> float:
    """Compares the tensors of two state dicts.

    Renamed layers keep the names of their parameters and the shapes of them ("alpha" of 16 elements), so
    these count too. Axes of one element do not: versions of a method's code differ by them.

    Args:
        shapes: The shape of every tensor of one.
        expected: Of the other.

    Returns:
        From 0 to 2: the share of equal tensors, by name and shape, and the share by the last part of the name
        and shape; each as twice the common tensors by those of both (Dice's coefficient).
    """
    whole = _dice(_whole(shapes), _whole(expected))
    return whole + _dice(_parameters(shapes), _parameters(expected))


def _dice(a: Counter[tuple[object, ...]], b: Counter[tuple[object, ...]]) -> float:
    return 2 * (a & b).total() / max(1, a.total() + b.total())


def _whole(shapes: Shapes) -> Counter[tuple[object, ...]]:
    return Counter((key, *_sizes(shape)) for key, shape in shapes.items())


def _parameters(shapes: Shapes) -> Counter[tuple[object, ...]]:
    return Counter((key.rpartition(".")[2], *_sizes(shape)) for key, shape in shapes.items())


def _sizes(shape: Iterable[int]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)
