"""Arrays through a pipe: a message is one frame of JSON, and one frame of NumPy's own format per array.

A frame is its length, eight bytes, least significant first, and as many bytes.
"""

import io
import json
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from rbnn_deploy.errors import UserError
from rbnn_deploy.signature import Array

LENGTH_BYTES = 8
LARGEST_FRAME = 1 << 31  # bytes; the other side may be another program than it seems
_ARRAYS = "arrays"


def write_message(stream: BinaryIO, content: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Writes a message.

    Args:
        stream: The pipe.
        content: For json.dumps; without the key "arrays".
        arrays: By any names.
    """
    frames = [json.dumps({**content, _ARRAYS: list(arrays)}).encode()]
    for array in arrays.values():
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        frames.append(buffer.getvalue())
    for frame in frames:
        stream.write(len(frame).to_bytes(LENGTH_BYTES, "little"))
        stream.write(frame)
    stream.flush()


def read_message(stream: BinaryIO) -> tuple[dict[str, Any], dict[str, Array]] | None:
    """Reads a message; None where the stream ends before it.

    Returns:
        The content, and the arrays by name.

    Raises:
        UserError: What comes is no message, or only a part of one.
    """
    head = _frame(stream)
    if head is None:
        return None
    try:
        content = json.loads(head)
        arrays = {}
        for name in content.pop(_ARRAYS):
            frame = _frame(stream)
            if frame is None:
                raise ValueError("it ends")
            arrays[str(name)] = np.load(io.BytesIO(frame), allow_pickle=False)
    except (ValueError, TypeError, KeyError, AttributeError, EOFError) as error:
        raise UserError(f"the other side answered something else than arrays ({error})") from None
    return content, arrays


def _frame(stream: BinaryIO) -> bytes | None:
    head = stream.read(LENGTH_BYTES)
    if not head:
        return None
    length = int.from_bytes(head, "little")
    if len(head) < LENGTH_BYTES or length > LARGEST_FRAME:
        raise UserError("the other side answered something else than arrays")
    frame = stream.read(length)
    if len(frame) < length:
        raise UserError("the other side's answer ends before its time")
    return frame
