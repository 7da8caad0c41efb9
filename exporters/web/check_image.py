"""The image that the page runs on first. Both sides draw it by one rule: the page need not carry it."""

import numpy as np
import numpy.typing as npt

MULTIPLIER, INCREMENT, START = 1664525, 1013904223, 1  # of Numerical Recipes; page.mjs has them too


def draw_check_image(shape: tuple[int, int, int]) -> npt.NDArray[np.uint8]:
    """Draws uint8 [H, W, C]: the upper bytes of a linear congruential generator modulo 2^32.

    Args:
        shape: (C, H, W).
    """
    C, H, W = shape
    state, values = START, bytearray()
    for _ in range(C * H * W):
        state = (state * MULTIPLIER + INCREMENT) % 2**32
        values.append(state >> 24)
    return np.frombuffer(bytes(values), np.uint8).reshape(H, W, C)
