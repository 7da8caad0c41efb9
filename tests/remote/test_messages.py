"""Messages of arrays: what is written is read, and anything else is refused."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rbnn_deploy.errors import UserError
from rbnn_deploy.remote import messages
from rbnn_deploy.remote.messages import read_message, write_message

TYPES = st.sampled_from(["float32", "uint8", "int64", "bool", "float64"])
ARRAYS = TYPES.flatmap(
    lambda kind: arrays.arrays(kind, arrays.array_shapes(min_dims=0, min_side=0, max_side=4))
)


def written(content: dict, values: dict) -> bytes:
    stream = io.BytesIO()
    write_message(stream, content, values)
    return stream.getvalue()


@given(st.dictionaries(st.text(max_size=8), ARRAYS, max_size=4))
def test_all_comes_back(values: dict[str, np.ndarray]) -> None:
    stream = io.BytesIO(written({"names": ["file", "../x"]}, values) + written({}, {}))
    answer = read_message(stream)
    assert answer is not None
    content, found = answer
    assert content == {"names": ["file", "../x"]}
    assert found.keys() == values.keys()
    for name, value in values.items():
        assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape)
        assert found[name].tobytes() == value.tobytes()
    assert read_message(stream) == ({}, {})
    assert read_message(stream) is None


WHOLE = written({"a": 1}, {"x": np.arange(6, dtype=np.float32)})


@pytest.mark.parametrize("length", range(1, len(WHOLE)))
def test_a_part_of_a_message_is_refused(length: int) -> None:
    with pytest.raises(UserError):
        read_message(io.BytesIO(WHOLE[:length]))


@pytest.mark.parametrize(
    "content",
    [
        b"Last login: Monday\n" * 4,
        (7).to_bytes(8, "little") + b"not json",
        (2).to_bytes(8, "little") + b"[]",
        (14).to_bytes(8, "little") + b'{"arrays": 3 }',
    ],
)
def test_other_programs_are_refused(content: bytes) -> None:
    with pytest.raises(UserError, match="the other side"):
        read_message(io.BytesIO(content))


def test_pickles_are_not_read() -> None:
    pickled = io.BytesIO()
    np.save(pickled, np.array([{}], dtype=object), allow_pickle=True)
    head = b'{"arrays": ["x"]}'
    frames = [head, pickled.getvalue()]
    stream = io.BytesIO(b"".join(len(frame).to_bytes(8, "little") + frame for frame in frames))
    with pytest.raises(UserError, match="something else than arrays"):
        read_message(stream)


def test_lengths_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "LARGEST_FRAME", 10)
    with pytest.raises(UserError, match="something else than arrays"):
        read_message(io.BytesIO(WHOLE))
