"""C text of numbers and of the constant structures that describe layers."""

from collections.abc import Mapping

import numpy as np

from rbnn_deploy.exporters.c.lines import lines_of


def structure(kind: str, name: str, members: Mapping[str, int | float | str]) -> str:
    """Writes `static const struct kind name = {...};` with one designated initialiser per member.

    Args:
        kind: The structure's tag, from a file below kernels/.
        name: Identifier.
        members: int as it is, float as a float constant, str as C text.
    """
    items = [f".{member} = {_constant(value)}" for member, value in members.items()]
    body = "\n".join(lines_of(items))
    return f"static const struct {kind} {name} = {{\n{body}\n}};"


def float_constant(value: np.floating | float) -> str:
    """Writes a float32 as the shortest decimal that a compiler rounds to it, or as a macro of math.h."""
    if not np.isfinite(value):
        return "NAN" if np.isnan(value) else "-INFINITY" if value < 0 else "INFINITY"
    text = str(np.float32(value))
    return f"{text if '.' in text or 'e' in text else text + '.0'}f"


def _constant(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return float_constant(value) if isinstance(value, float) else str(value)
