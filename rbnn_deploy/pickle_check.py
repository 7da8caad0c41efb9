"""Checks a pickle's instructions before it is read, so that reading it takes bounded time, memory and stack.

A pickle is a program for a small stack machine. Tuples are the danger: Python hashes one that is a key of
a dict by walking down all of it, on the stack of the processor and once per path. So nested tuples, 2 kB in
a compressed file, crash the process, and sixty tuples that each hold the one before twice take years. This
module runs the machine with two numbers in the place of each object: how deep tuples nest in it, and how
many steps its hash takes.
"""

import io
import pickle
import pickletools
from collections.abc import Callable

# CIFAR-100's training images take 200,000 instructions; a checkpoint takes about 30 per tensor.
MAX_INSTRUCTIONS = 2_000_000
MAX_DEPTH = 100
MAX_STEPS = 10_000_000  # of all hashes together

# How Python 2 and 3 write None, bool, int, bytes, str, tuple, list, dict, and objects by their __reduce__.
# The others find objects without asking for a name, take classes apart, or read other buffers.
BUILT_IN = frozenset(
    [
        "PROTO",
        "FRAME",
        "STOP",
        "MARK",
        "POP",
        "POP_MARK",
        "DUP",
        "NONE",
        "NEWTRUE",
        "NEWFALSE",
        "INT",
        "BININT",
        "BININT1",
        "BININT2",
        "LONG",
        "LONG1",
        "LONG4",
        "STRING",
        "BINSTRING",
        "SHORT_BINSTRING",
        "BINBYTES",
        "SHORT_BINBYTES",
        "BINBYTES8",
        "UNICODE",
        "BINUNICODE",
        "SHORT_BINUNICODE",
        "BINUNICODE8",
        "EMPTY_TUPLE",
        "TUPLE",
        "TUPLE1",
        "TUPLE2",
        "TUPLE3",
        "EMPTY_LIST",
        "LIST",
        "APPEND",
        "APPENDS",
        "EMPTY_DICT",
        "DICT",
        "SETITEM",
        "SETITEMS",
        "PUT",
        "BINPUT",
        "LONG_BINPUT",
        "MEMOIZE",
        "GET",
        "BINGET",
        "LONG_BINGET",
        "GLOBAL",
        "STACK_GLOBAL",
        "REDUCE",
        "BUILD",
    ]
)
# Numbers with a fraction, sets, objects by their class, and those that a persistent id stands for.
EVERY_OBJECT = BUILT_IN | frozenset(
    [
        "FLOAT",
        "BINFLOAT",
        "EMPTY_SET",
        "ADDITEMS",
        "FROZENSET",
        "BYTEARRAY8",
        "NEWOBJ",
        "NEWOBJ_EX",
        "BINPERSID",
    ]
)

_Cost = tuple[int, int]  # depth of tuples, steps of the hash
_LEAF: _Cost = (0, 1)
_NOTHING_PUSHED = frozenset(["PROTO", "FRAME", "STOP"])
_MEMO_WRITES, _MEMO_READS = ("PUT", "BINPUT", "LONG_BINPUT"), ("GET", "BINGET", "LONG_BINGET")
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
# How many objects an instruction takes off the stack, and whether it puts one there.
_TAKES = {
    "APPEND": (1, False),
    "BUILD": (1, False),
    "STACK_GLOBAL": (2, True),
    "REDUCE": (2, True),
    "NEWOBJ": (2, True),
    "NEWOBJ_EX": (3, True),
    "BINPERSID": (1, True),
}
_TAKES_TO_MARK = {
    "POP_MARK": False,
    "APPENDS": False,
    "ADDITEMS": False,
    "SETITEMS": False,
    "LIST": True,
    "DICT": True,
    "FROZENSET": True,
}
# Which of the objects down to the mark are hashed.
_HASHED: dict[str, Callable[[list[_Cost]], list[_Cost]]] = {
    "SETITEMS": lambda items: items[::2],
    "DICT": lambda items: items[::2],
    "ADDITEMS": lambda items: items,
    "FROZENSET": lambda items: items,
}


def check_pickle(content: bytes, instructions: frozenset[str], start: int = 0) -> int:
    """Checks that a pickle has only certain instructions, and that reading it is cheap.

    Args:
        content: Bytes that hold the pickle.
        instructions: Names of the instructions that it may have, as `pickletools` calls them.
        start: Where in `content` the pickle begins.

    Returns:
        Where it ends.

    Raises:
        pickle.UnpicklingError: It has another instruction, more than `MAX_INSTRUCTIONS`, tuples that nest
            deeper than `MAX_DEPTH`, or keys that take more than `MAX_STEPS` to hash; or it is damaged.
    """
    stream = io.BytesIO(content)
    stream.seek(start)
    machine = _Machine()
    try:
        for count, (instruction, argument, _) in enumerate(pickletools.genops(stream)):
            if instruction.name not in instructions:
                raise pickle.UnpicklingError(f"the instruction {instruction.name} is not allowed")
            if count == MAX_INSTRUCTIONS:
                raise pickle.UnpicklingError(f"more than {MAX_INSTRUCTIONS} instructions are not allowed")
            machine.run(instruction.name, argument)
    except (IndexError, KeyError, ValueError, UnicodeError):
        raise pickle.UnpicklingError("it is no whole pickle") from None
    return stream.tell()


class _Machine:
    """The stack machine of a pickle, with costs in the place of objects."""

    def __init__(self) -> None:
        self._stack: list[_Cost] = []
        self._below: list[list[_Cost]] = []  # what lies under each mark
        self._memo: dict[int, _Cost] = {}
        self._steps = 0

    def run(self, name: str, argument: object) -> None:
        """Runs one instruction."""
        if name in _TUPLES:
            self._put(_tuple_of(self._take(_TUPLES[name])))
        elif name in _TAKES:
            number, puts = _TAKES[name]
            self._take(number)
            if puts:
                self._put(_LEAF)
        elif name in _TAKES_TO_MARK:
            items = self._take_to_mark()
            if name in _HASHED:
                self._hash(_HASHED[name](items))
            if _TAKES_TO_MARK[name]:
                self._put(_LEAF)
        elif name in _MEMO_READS:
            assert isinstance(argument, int)
            self._put(self._memo[argument])
        elif name in _MEMO_WRITES:
            self._write_memo(argument)
        elif (special := getattr(self, f"_run_{name.lower()}", None)) is not None:
            special()
        elif name not in _NOTHING_PUSHED:
            self._put(_LEAF)

    def _run_mark(self) -> None:
        self._below.append(self._stack)
        self._stack = []

    def _run_tuple(self) -> None:
        items = self._take_to_mark()
        self._put(_tuple_of(items))

    def _run_dup(self) -> None:
        self._put(self._stack[-1])

    def _run_pop(self) -> None:
        if self._stack:
            self._stack.pop()
        else:  # a mark is all that is left to take
            self._take_to_mark()

    def _run_setitem(self) -> None:
        self._hash(self._take(2)[:1])

    def _run_memoize(self) -> None:
        self._write_memo(len(self._memo))

    def _put(self, cost: _Cost) -> None:
        self._stack.append(cost)

    def _take(self, number: int) -> list[_Cost]:
        if len(self._stack) < number:
            raise IndexError
        items = self._stack[-number:]
        del self._stack[-number:]
        return items

    def _take_to_mark(self) -> list[_Cost]:
        items, self._stack = self._stack, self._below.pop()
        return items

    def _write_memo(self, index: object) -> None:
        # The unpickler's memo is a list as long as the largest index.
        if not (isinstance(index, int) and 0 <= index <= MAX_INSTRUCTIONS):
            raise pickle.UnpicklingError(f"more than {MAX_INSTRUCTIONS} instructions are not allowed")
        self._memo[index] = self._stack[-1]

    def _hash(self, keys: list[_Cost]) -> None:
        self._steps += sum(steps for _, steps in keys)
        if self._steps > MAX_STEPS:
            raise pickle.UnpicklingError(
                f"keys that take more than {MAX_STEPS} steps to hash are not allowed"
            )


def _tuple_of(items: list[_Cost]) -> _Cost:
    depth = 1 + max((depth for depth, _ in items), default=0)
    if depth > MAX_DEPTH:
        raise pickle.UnpicklingError(f"tuples in more than {MAX_DEPTH} others are not allowed")
    return depth, 1 + sum(steps for _, steps in items)
