"""Damages files as broken disks and downloads do: some bytes change, or the end is missing."""

import random


def damaged(content: bytes, rng: random.Random, header: int | None = None) -> bytes:
    """Returns content with one to eight changed bytes; every fifth time the end is cut off.

    Args:
        content: At least one byte.
        rng: Decides.
        header: Bytes at the beginning, in which most changes are; None spreads them evenly.
    """
    changed = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        near = header if header is not None and rng.random() < 0.7 else len(changed)
        changed[rng.randrange(min(near, len(changed)))] = rng.choice((0, 1, 127, 255, rng.randrange(256)))
    return bytes(changed[: rng.randrange(1, len(changed))] if rng.random() < 0.2 else changed)
