"""One table per operator: its attributes, each with type, bounds, default and meaning; and its inputs.

An operator's attributes are a dataclass whose annotations are the table: the type of a field says its kind
in ONNX (an integer, a list of so many integers, one of these strings), and `Within` its bounds and meaning.
So each attribute is written once, with a type that mypy knows. Schema, torch operator, translation, function
and the checks of files read the list from `OperatorAttributes.fields`.
"""

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass
from dataclasses import fields as dataclass_fields
from functools import cache
from typing import Any, ClassVar, Literal, Self, get_args, get_origin, get_type_hints

import numpy as np

Kind = Literal["INT", "INTS", "STRING"]  # the names that ONNX has for them
DType = Literal["float", "uint8", "int8", "int32"]

LARGEST = 2**31 - 1  # of any size; with larger ones a product of two could overflow in native code


@dataclass(frozen=True)
class Within:
    """Meaning of an attribute, and the bounds of its integers.

    Attributes:
        meaning: A phrase for schemas and pages.
        least: The smallest integer that is allowed; of a list, for each of its members.
        most: The largest one.
    """

    meaning: str
    least: int = 0
    most: int = LARGEST


@dataclass(frozen=True)
class Field:
    """One attribute.

    Attributes:
        name: As on a node.
        kind: Its type in ONNX.
        meaning: A phrase.
        count: How many integers a list has; 1 for other kinds.
        least: The smallest allowed integer.
        most: The largest one.
        choices: The allowed strings; empty for other kinds.
        default: In Python, a tuple for a list; None where there is none. Nodes have no defaults.
    """

    name: str
    kind: Kind
    meaning: str
    count: int
    least: int
    most: int
    choices: tuple[str, ...]
    default: Any

    def check(self, value: Any) -> None:
        """Checks a value, which is a tuple for a list.

        Raises:
            ValueError: It is of another type, or outside its bounds.
        """
        if self.kind == "STRING":
            if value not in self.choices:
                raise ValueError(f"{self.name} must be one of {', '.join(self.choices)}, not {value!r}")
            return
        many = isinstance(value, tuple)
        values = value if many else (value,)
        wanted = f"{self.count} integers" if self.kind == "INTS" else "an integer"
        if (
            many != (self.kind == "INTS")
            or len(values) != self.count
            or not all(isinstance(v, (int, np.integer)) and self.least <= v <= self.most for v in values)
        ):
            shown = list(values) if many else value
            raise ValueError(f"{self.name} must be {wanted} from {self.least} to {self.most}, not {shown!r}")


def _field(name: str, annotation: Any, default: Any) -> Field:
    kind, within = get_args(annotation)
    default = None if default is MISSING else default
    if get_origin(kind) is Literal:
        return Field(name, "STRING", within.meaning, 1, 0, 0, get_args(kind), default)
    if kind is int:
        return Field(name, "INT", within.meaning, 1, within.least, within.most, (), default)
    count = len(get_args(kind))
    return Field(name, "INTS", within.meaning, count, within.least, within.most, (), default)


@cache
def _fields(attributes: Any) -> tuple[Field, ...]:
    hints = get_type_hints(attributes, include_extras=True)
    return tuple(_field(f.name, hints[f.name], f.default) for f in dataclass_fields(attributes))


@dataclass(frozen=True)
class OperatorAttributes:
    """The attributes of one node. A subclass is an operator's table; each of its fields is `Annotated`.

    Attributes:
        operator: The operator's name.
    """

    operator: ClassVar[str]

    def __post_init__(self) -> None:
        """Checks every value.

        Raises:
            ValueError: A value is outside its domain.
        """
        for field in self.fields():
            field.check(getattr(self, field.name))

    @classmethod
    def fields(cls) -> tuple[Field, ...]:
        """Returns the table, in the order in which positional arguments stand."""
        table: Any = cls  # mypy does not take a dataclass for hashable
        return _fields(table)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Returns the attributes' names, in the table's order."""
        return tuple(field.name for field in cls.fields())

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Builds the attributes from ONNX attribute values (lists, and strings or their bytes).

        Raises:
            ValueError: An attribute is missing or outside its domain.
        """
        missing = [name for name in cls.names() if name not in values]
        if missing:
            raise ValueError(f"{cls.operator}: attributes missing: {', '.join(missing)}")
        return cls(**{name: _from_onnx(values[name]) for name in cls.names()})

    @classmethod
    def from_values(cls, *values: Any) -> Self:
        """Builds the attributes from one ONNX attribute value per field, in the table's order.

        Raises:
            ValueError: An attribute is outside its domain.
        """
        return cls.from_mapping(dict(zip(cls.names(), values, strict=True)))

    def to_dict(self) -> dict[str, Any]:
        """Returns the attributes as ONNX writes them: tuples as lists."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}


def _from_onnx(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return tuple(value) if isinstance(value, list) else value


@dataclass(frozen=True)
class Input:
    """One input of an operator.

    Attributes:
        name: In the operator's equations.
        dtype: As ONNX's types of tensors are called.
        shape: In words.
        optional: Whether a node may leave it out.
    """

    name: str
    dtype: DType
    shape: str
    optional: bool = False


@dataclass(frozen=True)
class Operator:
    """An operator of domain `ai.rbnn`.

    Attributes:
        name: Without the domain; changed semantics mean a new name.
        inputs: In their order on a node.
        output: The shape of Y, in words.
        attributes: The table of its attributes.
        output_dtype: The type of Y.
    """

    name: str
    inputs: tuple[Input, ...]
    output: str
    attributes: type[OperatorAttributes]
    output_dtype: DType = "float"

    def index(self, name: str) -> int:
        """Returns the position of an input."""
        return self.input_names().index(name)

    def input_names(self) -> tuple[str, ...]:
        """Returns the inputs' names."""
        return tuple(value.name for value in self.inputs)
