"""The meaning of a bit: the one definition of polarity, bit order and the sign of zero.

1. A bit is 1 for +1 and 0 for -1.
2. sign(0) is +1, for both zeros; a NaN is -1. Hence `bit = (value >= threshold)`.
3. Bits are packed along the last axis, least significant bit first: bit i of byte j is element 8j + i.
4. The bits behind the last element (the tail) are 0.

The C++ mirror of these rules is `runtimes/native/kernels/bits.h`. NumPy only: a device needs this module.
"""

import numpy as np
import numpy.typing as npt

BITS_PER_BYTE = 8


def packed_size(count: int) -> int:
    """Returns how many bytes hold `count` bits."""
    return -(-count // BITS_PER_BYTE)


def pack_signs(signs: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Packs the signs of values, eight a byte.

    Args:
        signs: Real values [..., count]; only `value >= 0` matters.

    Returns:
        uint8 [..., ceil(count / 8)], as the rules above have it.
    """
    return np.packbits(np.asarray(signs) >= 0, axis=-1, bitorder="little")


def unpack_signs(packed: npt.NDArray[np.uint8], count: int) -> npt.NDArray[np.int8]:
    """Unpacks `count` signs from the last axis.

    Args:
        packed: uint8 [..., ceil(count / 8)].
        count: How many signs there are; the tail is dropped.

    Returns:
        int8 [..., count], each +1 or -1.
    """
    bits = np.unpackbits(packed, axis=-1, count=count, bitorder="little")
    return (2 * bits.astype(np.int8) - 1).astype(np.int8)
