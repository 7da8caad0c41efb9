"""What a pickle may cost before it is read."""

import pickle
import subprocess
import sys

import pytest

from rbnn_deploy.pickle_check import (
    BUILT_IN,
    EVERY_OBJECT,
    MAX_DEPTH,
    MAX_INSTRUCTIONS,
    check_pickle,
)

START, END = b"\x80\x02", b"."
EMPTY, ONE, TWO, DUP = b")", b"\x85", b"\x86", b"2"


def as_key(body):
    return START + b"}" + body + b"Ns" + END


def nested(depth):
    return as_key(EMPTY + ONE * depth)


def doubled(times):
    return as_key(EMPTY + (DUP + TWO) * times)


def doubled_by_memo(times):
    return as_key(EMPTY + b"q\x00" + b"".join(b"h\x00h\x00\x86q\x00" for _ in range(times)))


REFUSED = {
    "nested tuples": (nested(150_000), "tuples in more than"),
    "just too deep": (nested(MAX_DEPTH + 1), "tuples in more than"),
    "doubled tuples": (doubled(60), "steps to hash"),
    "doubled tuples by the memo": (doubled_by_memo(60), "steps to hash"),
    "a tuple of many": (as_key(b"(" + b"N" * 100 + b"t" + (DUP + TWO) * 20), "steps to hash"),
    "a key many times": (
        START + b"}" + b"(" + b"N" * 90_000 + b"tq\x000" + b"h\x00Ns" * 200 + END,
        "steps to hash",
    ),
    "keys of one instruction": (START + b"}(" + EMPTY + (DUP + TWO) * 60 + b"Nu" + END, "steps to hash"),
    "a dict of the stack": (START + b"(" + EMPTY + (DUP + TWO) * 60 + b"Nd" + END, "steps to hash"),
    "a set": (b"\x80\x04\x8f(" + EMPTY + (DUP + TWO) * 60 + b"\x90" + END, "steps to hash"),
    "a frozen set": (b"\x80\x04(" + EMPTY + (DUP + TWO) * 60 + b"\x91" + END, "steps to hash"),
    "many instructions": (START + b"N" * (MAX_INSTRUCTIONS + 1), "instructions are not allowed"),
    "a far memo": (START + b"Nr\xff\xff\xff\xff" + END, "instructions are not allowed"),
    "another instruction": (START + b"Pfile\n" + END, "PERSID is not allowed"),
    "nothing on the stack": (START + ONE + END, "no whole pickle"),
    "no mark": (START + b"t" + END, "no whole pickle"),
    "no memo": (START + b"h\x07" + END, "no whole pickle"),
    "no end": (START + b"N", "no whole pickle"),
    "nothing": (b"", "no whole pickle"),
    "a string without its end": (START + b"X\xff\xff\xff\x7fabc", "no whole pickle"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused(kind):
    content, message = REFUSED[kind]
    with pytest.raises(pickle.UnpicklingError, match=message):
        check_pickle(content, EVERY_OBJECT)


@pytest.mark.parametrize("protocol", range(6))
def test_what_pickle_writes_passes(protocol):
    shared = (1, (2, "x"))
    value = [None, True, 1, 1 << 100, 1.5, b"a", "é", {"a": [shared, shared]}, {shared, 2}, {shared: {}}, 2j]
    content = pickle.dumps(value, protocol)
    allowed = EVERY_OBJECT
    assert check_pickle(content, allowed) == len(content)
    assert check_pickle(b"abc" + content + b"def", allowed, 3) == 3 + len(content)


def test_instructions_that_are_not_asked_for():
    with pytest.raises(pickle.UnpicklingError, match="BINFLOAT is not allowed"):
        check_pickle(pickle.dumps(1.5), BUILT_IN)


def test_depth_at_the_limit_passes():
    content = nested(MAX_DEPTH)
    assert check_pickle(content, BUILT_IN) == len(content)
    assert len(pickle.loads(content)) == 1


def test_lists_may_nest_as_they_like():
    # No list is hashed, and Python frees them without recursion.
    content = START + b"]" * 200_000 + b"a" * 199_999 + END
    assert check_pickle(content, BUILT_IN) == len(content)
    del content


def test_the_refused_would_crash_python():
    """The reason for all this; in a process of its own."""
    program = "import pickle, sys; pickle.loads(sys.stdin.buffer.read())"
    done = subprocess.run([sys.executable, "-c", program], input=nested(500_000), check=False)
    assert done.returncode < 0
