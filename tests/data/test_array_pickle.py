"""Pickles that the published ones look like, and pickles that somebody else would write."""

import pickle
import struct
import subprocess
import sys

import numpy as np
import pytest

from rbnn_deploy.data.array_pickle import PickledArray, load_array_pickle
from rbnn_deploy.pickle_check import MAX_INSTRUCTIONS

NONE, FALSE, TRUE = b"N", b"\x89", b"\x88"


# Instructions, by hand: nobody's pickler writes what the attacks need.
def number(value):
    return b"J" + struct.pack("<i", value)


def text(value):
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def raw(value):
    return b"B" + struct.pack("<I", len(value)) + value


def tuple_of(*items):
    return b"(" + b"".join(items) + b"t"


def found(module, name):
    return f"c{module}\n{name}\n".encode()


def called(function, *arguments):
    return function + tuple_of(*arguments) + b"R"


def built(instance, state):
    return instance + state + b"b"


def dtype(code, order="|", flags=0, first=NONE):
    made = called(found("numpy", "dtype"), text(code), FALSE, TRUE)
    state = (number(3), text(order), first, NONE, NONE, number(-1), number(-1), number(flags))
    return built(made, tuple_of(*state))


def array(kind, shape, content):
    empty = called(
        found("numpy.core.multiarray", "_reconstruct"),
        found("numpy", "ndarray"),
        tuple_of(number(0)),
        raw(b"b"),
    )
    return built(empty, tuple_of(number(1), tuple_of(*map(number, shape)), kind, FALSE, raw(content)))


def whole(body):
    return b"\x80\x02" + body + b"."


def test_a_pickle_of_python_2_is_read():
    # As cPickle wrote the published files: strings without an encoding, flags as integers.
    pixels = bytes(range(6))
    content = (
        b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x09batch onetU\x06labelsq\x04]q\x05(K\x06K\x09eU\x04dataq\x06"
        b"cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\x09"
        b"(K\x01K\x02K\x03\x86cnumpy\ndtype\nq\x0aU\x02u1K\x00K\x01\x87Rq\x0b"
        b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x06" + pixels + b"tbu."
    ).replace(b"batch onet", b"batch one")
    values = load_array_pickle(content)
    assert values[b"labels"] == [6, 9]
    assert values[b"batch_label"] == b"batch one"
    assert values[b"data"].array.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert values[b"data"].array.dtype == np.uint8


@pytest.mark.parametrize("protocol", range(5))
@pytest.mark.parametrize("kind", ["u1", "<i2", ">i4", "<u4", "<i8", ">u8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_integer_arrays_of_every_kind(protocol, kind, order):
    expected = np.asarray(np.random.default_rng(0).integers(0, 100, (3, 5)), kind, order=order)
    values = load_array_pickle(
        pickle.dumps({"a": expected, "b": [expected[0], 300, None, b"\xff"]}, protocol)
    )
    for found_array, wanted in ((values["a"], expected), (values["b"][0], expected[0])):
        assert isinstance(found_array, PickledArray)
        assert np.array_equal(found_array.array, wanted)
        assert found_array.array.dtype == wanted.dtype
    assert values["b"][1:] == [300, None, b"\xff"]


POINTERS = array(dtype("O8"), (1,), struct.pack("<Q", 0x4141414141))
ENCODE = found("_codecs", "encode")
ATTACKS = {
    "pointers from bytes": POINTERS,
    "object array without bytes": array(dtype("O8", flags=63), (1,), b""),
    "object array by another spelling": array(dtype("|O"), (1,), bytes(8)),
    "record": array(dtype("V8"), (1,), bytes(8)),
    "flags of an object": array(dtype("u1", flags=63), (1,), b"a"),
    "state of a record": array(dtype("u1", first=tuple_of(dtype("u1"), tuple_of(number(9)))), (1,), b"a"),
    "text": array(dtype("U1"), (1,), bytes(4)),
    "more elements than bytes": array(dtype("i8", "<"), (4,), bytes(8)),
    "fewer elements than bytes": array(dtype("u1"), (1,), b"ab"),
    "negative sides": array(dtype("u1"), (-1, -2), b"ab"),
    "huge sides": array(dtype("u1"), (2**31 - 1, 2**31 - 1), b"ab"),
    "many sides": array(dtype("u1"), (1,) * 50, b"a"),
    "an array of a class": array(found("numpy", "dtype"), (1,), b"a"),
    "a class from the operating system": called(found("posix", "system"), text("true")),
    "a name with dots": found("numpy", "ndarray.tofile"),
    "numpy's loader": called(found("numpy", "load"), text("file")),
    "the state of the stand-in's class": built(found("numpy", "dtype"), tuple_of(number(1))),
    "attributes of the stand-in's class": built(
        found("numpy", "ndarray"), tuple_of(NONE, b"}" + text("array") + number(1) + b"s")
    ),
    "state of a list": built(b"]", tuple_of(number(1))),
    "another encoding": called(ENCODE, text("a"), text("idna")),
    "an extension": b"\x82\x01",
    "a persistent id": b"Pfile\n",
    "a persistent object": number(1) + b"Q",
    "an old instance": b"(iposix\nsystem\n",
    "an old object": b"(" + found("numpy", "dtype") + b"o",
    "a class without its call": found("numpy", "dtype") + tuple_of() + b"\x81",
    "a buffer from outside": b"\x97",
    "a set": b"\x8f",
    "nested tuples as a key": b"})" + b"\x85" * 150_000 + b"Ns",
    "doubled tuples as a key": b"})" + b"2\x86" * 60 + b"Ns",
}


PROGRAM = """
import pickle, sys
from rbnn_deploy.data.array_pickle import load_array_pickle
for name, content in pickle.load(sys.stdin.buffer).items():
    try:
        load_array_pickle(content)
    except Exception as error:
        print("refused", name, flush=True)
    else:
        print("LOADED", name, flush=True)
"""


def test_attacks_are_refused():
    # In a process of their own, so that an attack that succeeds fails this test and does not end all of them.
    attacks = {name: whole(attack) for name, attack in ATTACKS.items()}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=pickle.dumps(attacks), capture_output=True, check=False
    )
    assert done.stdout.decode().splitlines() == [f"refused {name}" for name in ATTACKS]


def test_what_the_attacks_are_made_of_is_no_more_than_they_need():
    content = whole(array(dtype("u1"), (1, 2), b"ab"))
    assert load_array_pickle(content).array.tolist() == [[97, 98]]
    assert load_array_pickle(whole(called(ENCODE, text("é"), text("latin1")))) == "é".encode("latin1")


@pytest.mark.parametrize(
    "body",
    [b"Nr" + struct.pack("<I", 2**32 - 1), b"Np4000000000\n", b"N" * (MAX_INSTRUCTIONS + 1)],
    ids=["far memo", "far memo by text", "many objects"],
)
def test_a_small_file_takes_little_memory(body):
    with pytest.raises(pickle.UnpicklingError, match="instructions are not allowed"):
        load_array_pickle(whole(body))


def test_one_text_is_made_into_bytes_once():
    # A text in the memo, and what makes it into bytes again and again, in 9 bytes a time.
    again = b"(" + ENCODE + b"q\x00" + text("a" * 1000) + b"q\x01" + text("latin1") + b"\x86q\x020"
    values = load_array_pickle(whole(again + b"h\x00h\x02Rh\x00h\x02Rl"))
    assert values[-1] == b"a" * 1000
    assert values[-1] is values[-2]


def test_the_standins_keep_nothing_of_a_refused_pickle():
    before = dict(vars(PickledArray))
    with pytest.raises(TypeError):
        load_array_pickle(whole(ATTACKS["attributes of the stand-in's class"]))
    assert dict(vars(PickledArray)) == before
