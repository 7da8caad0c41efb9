"""Whether a node is as its operator's schema says: inputs, outputs, attributes."""

from functools import cache

import onnx
from onnx import AttributeProto

from rbnn_deploy.model_files.errors import InvalidModelError, quoted, require_text
from rbnn_deploy.operators import DOMAIN, OPERATORS
from rbnn_deploy.operators.fields import LARGEST
from rbnn_deploy.operators.schema import operator_schema

# Other names of domains in onnx's own registry.
ALIASES = {"ai.onnx": ""}
# Attributes of standard operators whose numbers are divisors or sizes: onnx's shape inference and other
# native code divide by some of them without asking.
POSITIVE = ("strides", "dilations", "kernel_shape", "group", "blocksize", "num_outputs")

_FIELDS = {
    AttributeProto.FLOAT: "f",
    AttributeProto.INT: "i",
    AttributeProto.STRING: "s",
    AttributeProto.TENSOR: "t",
    AttributeProto.GRAPH: "g",
    AttributeProto.FLOATS: "floats",
    AttributeProto.INTS: "ints",
    AttributeProto.STRINGS: "strings",
}
_ALL_FIELDS = {*_FIELDS.values(), "tensors", "graphs", "sparse_tensor", "sparse_tensors", "tp", "type_protos"}


def domain_of(name: str) -> str:
    """Returns the one name of a domain."""
    return ALIASES.get(name, name)


@cache
def standard_domains() -> dict[str, int]:
    """Returns the domains that the installed onnx defines, each with its newest version."""
    return {domain: newest for domain, (_, newest) in onnx.defs.C.schema_version_map().items()}


@cache
def schema_of(domain: str, name: str, version: int) -> onnx.defs.OpSchema | None:
    """Returns an operator's schema; None for a domain that neither onnx nor this package defines.

    Raises:
        InvalidModelError: The domain is known, and has no such operator.
    """
    if domain == DOMAIN:
        if name not in OPERATORS:
            raise InvalidModelError(
                f"operator {quoted(f'{domain}::{name}')} is unknown to this version of rbnn-deploy"
            )
        return operator_schema(OPERATORS[name])
    if domain not in standard_domains():
        return None
    try:
        schema = onnx.defs.get_schema(name, version, domain)
    except onnx.defs.SchemaError:
        raise InvalidModelError(
            f"operator {quoted(f'{domain}::{name}')} does not exist in version {version} of its domain"
        ) from None
    if schema.deprecated:
        raise InvalidModelError(f"operator {quoted(name)} was removed before version {version} of its domain")
    return schema


def check_attribute(attribute: onnx.AttributeProto) -> None:
    """Checks that an attribute holds exactly one value, of the type that it names.

    Raises:
        InvalidModelError: It does not, or is of a kind that deployed models do not have.
    """
    require_text(attribute.name, attribute.ref_attr_name)
    if not attribute.name:
        raise InvalidModelError("an attribute has no name")
    kind = attribute.type
    if kind not in _FIELDS:
        raise InvalidModelError(
            f"attribute {quoted(attribute.name)} is of a type that deployed models do not have"
        )
    held = {field.name for field, _ in attribute.ListFields() if field.name in _ALL_FIELDS}
    refers = bool(attribute.ref_attr_name)
    if held - {_FIELDS[kind]} or (refers and held) or not (refers or held or kind >= AttributeProto.FLOATS):
        raise InvalidModelError(f"attribute {quoted(attribute.name)} does not hold one value of its type")


def check_against_schema(node: onnx.NodeProto, schema: onnx.defs.OpSchema) -> None:
    """Checks counts of inputs and outputs, and the names, types and ranges of attributes.

    Raises:
        InvalidModelError: The node is not as its operator's schema says.
    """
    for what, count, least, most in (
        ("inputs", len(node.input), schema.min_input, schema.max_input),
        ("outputs", len(node.output), schema.min_output, schema.max_output),
    ):
        if not least <= count <= most:
            raise InvalidModelError(f"it has {count} {what}, which {schema.name} does not take")
    if not all(node.input):
        for i, name in enumerate(node.input):
            parameter = schema.inputs[min(i, len(schema.inputs) - 1)]  # the last may stand for several
            if not name and parameter.option != onnx.defs.OpSchema.FormalParameterOption.Optional:
                raise InvalidModelError(f"its input {parameter.name} is absent")
    found = {attribute.name: attribute for attribute in node.attribute}
    for name, attribute in found.items():
        if name not in schema.attributes:
            raise InvalidModelError(f"{schema.name} has no attribute {quoted(name)}")
        if attribute.type != _number(schema.attributes[name].type):
            raise InvalidModelError(f"attribute {name} is of the wrong type")
        _check_numbers(attribute)
    for name, wanted in schema.attributes.items():
        if wanted.required and name not in found:
            raise InvalidModelError(f"attribute {name} is missing")


@cache
def _number(kind: onnx.defs.OpSchema.AttrType) -> int:
    """Returns the number that AttributeProto has for a schema's type of attribute."""
    return int(getattr(AttributeProto, str(kind).rpartition(".")[2]))


def _check_numbers(attribute: onnx.AttributeProto) -> None:
    if attribute.type not in (AttributeProto.INT, AttributeProto.INTS) or attribute.ref_attr_name:
        return
    values = [attribute.i] if attribute.type == AttributeProto.INT else list(attribute.ints)
    least = 1 if attribute.name in POSITIVE else -LARGEST
    # Constants may be any number, as none of them is a size yet.
    if not attribute.name.startswith("value") and any(not least <= value <= LARGEST for value in values):
        raise InvalidModelError(f"attribute {attribute.name} is out of range")
