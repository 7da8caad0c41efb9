"""Damages models: messages are changed, removed, repeated or swapped, or some bytes of the file are."""

import random
from typing import Any

import onnx
from google.protobuf.descriptor import FieldDescriptor

NUMBERS = (-(2**63), -1, 0, 1, 2, 7, 65536, 2**31, 2**40, 2**63 - 1)
TEXTS = ("", "X", "Conv", "logits", "ai.rbnn", "threshold", "\x1b[2J", "a" * 1000)


def mutant(model: bytes, seed: int) -> bytes:
    """Returns the model with one to three changes that the seed determines."""
    rng = random.Random(seed)
    if rng.random() < 0.2:
        content = bytearray(model)
        for _ in range(rng.randint(1, 8)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        return bytes(content[: rng.randrange(len(content))] if rng.random() < 0.2 else content)
    proto = onnx.load_model_from_string(model)
    for _ in range(rng.randint(1, 3)):
        _change(proto, rng)
    return proto.SerializeToString()


def _change(message: Any, rng: random.Random) -> None:
    fields = message.ListFields()
    while fields:
        field, value = rng.choice(fields)
        repeated = hasattr(value, "append") or hasattr(value, "add")
        message_field = field.type == FieldDescriptor.TYPE_MESSAGE
        if message_field and rng.random() < 0.8:  # go deeper
            inner = value[rng.randrange(len(value))] if repeated else value
            if inner.ListFields():
                message, fields = inner, inner.ListFields()
                continue
        if rng.random() < 0.2:
            message.ClearField(field.name)
        elif repeated:
            _change_list(value, field, rng)
        elif not message_field:
            setattr(message, field.name, _other(value, field, rng))
        return


def _change_list(value: Any, field: FieldDescriptor, rng: random.Random) -> None:
    index, kind = rng.randrange(len(value)), rng.randrange(3)
    if kind == 0:
        del value[index]
    elif kind == 1:
        value.append(value[index])
    elif field.type != FieldDescriptor.TYPE_MESSAGE:
        value[index] = _other(value[index], field, rng)
    else:
        other = rng.randrange(len(value))
        first, second = (type(value[i]).FromString(value[i].SerializeToString()) for i in (index, other))
        value[index].CopyFrom(second)
        value[other].CopyFrom(first)


def _other(value: Any, field: FieldDescriptor, rng: random.Random) -> Any:
    if isinstance(value, str):
        return rng.choice(TEXTS)
    if isinstance(value, bytes):
        return rng.choice((b"", b"\xff\xfe", value[: len(value) // 2], value + b"\0", b"zero"))
    if isinstance(value, float):
        return rng.choice((0.0, -1.0, 1e38, float("nan")))
    if field.enum_type is not None:
        return rng.choice([entry.number for entry in field.enum_type.values])
    limit = 31 if field.cpp_type == FieldDescriptor.CPPTYPE_INT32 else 63
    return rng.choice([n for n in NUMBERS if -(2**limit) <= n < 2**limit])
