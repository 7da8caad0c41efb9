"""Tells the formats of checkpoints by their first bytes; imports no torch.

No ONNX file begins as one of them does: protobuf would take these bytes for a field that ONNX does not have,
or for a number that is larger than the file.
"""

ZIP_START = b"PK\x03\x04"  # of torch.save
PICKLE_START = b"\x80"  # of torch.save before PyTorch 1.6, and of every pickle since protocol 2
LEGACY_START = b"\x80\x02\x8a\x0a"  # of the former alone: a pickle of a large number, in protocol 2
_LENGTH = 8  # bytes of the header's length, little-endian, with which a .safetensors file begins
START_LENGTH = _LENGTH + 1


def is_safetensors(start: bytes, size: int) -> bool:
    """Whether a file begins as a .safetensors file does: a length, then JSON.

    Args:
        start: Its first `START_LENGTH` bytes, or more.
        size: How many bytes it has.
    """
    return start[_LENGTH:START_LENGTH] == b"{" and int.from_bytes(start[:_LENGTH], "little") <= size


def is_checkpoint(start: bytes, size: int) -> bool:
    """Whether a file begins as a checkpoint of any format does; see `is_safetensors`."""
    return start.startswith((ZIP_START, PICKLE_START)) or is_safetensors(start, size)
