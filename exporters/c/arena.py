"""Where each buffer lies: buffers share memory when no call needs both.

1. A buffer lives from the call that first writes it to the call that last reads it.
2. Where a call may compute in place, and nobody reads its input later, the output begins where the input
   does. Such buffers form a chain, which is placed as one thing with a size that changes with time.
3. Chains are placed by falling size, each at the lowest offset at which it meets no placed chain at the same
   time ("greedy by size" of Pisarchyk and Lee, "Efficient memory management for deep neural net inference").
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rbnn_deploy.exporters.c.program import Buffer, Element, Program


@dataclass(frozen=True)
class Piece:
    """One buffer of a chain: its size in elements, and its first and last call."""

    buffer: Buffer
    first: int
    last: int


@dataclass(frozen=True)
class Arena:
    """The plan of one element type.

    Attributes:
        offsets: First element of each buffer.
        count: Elements of the arena.
    """

    offsets: dict[Buffer, int]
    count: int


def plan_arena(program: Program, element: Element) -> Arena:
    """Places all buffers of a type, except those that the caller owns."""
    pieces = {piece.buffer: piece for piece in _lifetimes(program) if piece.buffer.element == element}
    offsets: dict[Buffer, int] = {}
    placed: list[tuple[int, Piece]] = []
    for chain in sorted(_chains(program, pieces), key=lambda chain: -max(p.buffer.count for p in chain)):
        offset = _lowest_offset(chain, placed)
        placed += [(offset, piece) for piece in chain]
        offsets |= {piece.buffer: offset for piece in chain}
    return Arena(offsets, max((offset + piece.buffer.count for offset, piece in placed), default=0))


def _lifetimes(program: Program) -> list[Piece]:
    """Returns the buffers in the order in which they are first written."""
    owned = (program.input, program.output)
    first: dict[Buffer, int] = {}
    last: dict[Buffer, int] = {}
    for index, step in enumerate(program.steps):
        for buffer in (*step.writes, *step.reads):
            if buffer not in owned:
                first.setdefault(buffer, index)
                last[buffer] = index
    return [Piece(buffer, first[buffer], last[buffer]) for buffer in first]


def _chains(program: Program, pieces: dict[Buffer, Piece]) -> list[list[Piece]]:
    chain_of = {buffer: [piece] for buffer, piece in pieces.items()}
    for index, step in enumerate(program.steps):
        old, new = step.in_place, step.writes[0]
        if old in pieces and new in pieces and pieces[old].last == index == pieces[new].first:
            chain_of[old].append(pieces[new])
            chain_of[new] = chain_of[old]
    return list({id(chain): chain for chain in chain_of.values()}.values())


def _lowest_offset(chain: Iterable[Piece], placed: Iterable[tuple[int, Piece]]) -> int:
    """Finds the lowest offset that is in none of the ranges which placed buffers of the same time forbid."""
    forbidden = sorted(
        (offset - own.buffer.count + 1, offset + other.buffer.count)
        for own in chain
        for offset, other in placed
        if own.first <= other.last and other.first <= own.last
    )
    lowest = 0
    for begin, end in forbidden:
        if begin <= lowest:
            lowest = max(lowest, end)
    return lowest
